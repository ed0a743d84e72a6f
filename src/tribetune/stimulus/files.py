"""Which files of a command line belong to one stimulus."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tribetune.errors import StimulusError
from tribetune.stimulus.timeline import WORDS_MARK, Timeline, timeline_of_files, words_beside
from tribetune.stimulus.words import WORD_SUFFIXES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StimulusFiles:
    """The files of one stimulus.

    Parameters
    ----------
    name : str
        Their common stem.
    media : tuple of Path
    words : Path or None
    """

    name: str
    media: tuple[Path, ...]
    words: Path | None

    def timeline(self) -> Timeline:
        """What happens in it, from 0 s on."""
        return timeline_of_files(self.media, self.words)


def stimuli_of_files(files: Sequence[Path], words: Path | None = None) -> list[StimulusFiles]:
    """Group files by their stems: ``film.mp4``, ``film.wav`` and ``film_words.tsv`` are one stimulus.

    Parameters
    ----------
    files : sequence of Path
        Films, sounds, and tables of words. Words that lie beside a film or sound are taken, too, when none are given.
    words : Path or None
        Words of the only stimulus.

    Raises
    ------
    StimulusError
        If there is no file, a stem has two files of words, or ``words`` are given for several stimuli.
    """
    stems = list(dict.fromkeys(_stem(path) for path in [*files, *([words] if words and not files else [])]))
    if not stems:
        raise StimulusError("no stimulus, expected a film, a sound or words", hint="give a file, or --words FILE")
    if words and len(stems) > 1:
        raise StimulusError(
            f"--words {words} with {len(stems)} stimuli ({', '.join(stems)})",
            hint=f"name each stimulus' words like itself: {stems[0]}{WORDS_MARK}.tsv beside {stems[0]}, …",
        )
    return [_group(stem, [path for path in files if _stem(path) == stem], words) for stem in stems]


def _group(stem: str, files: Sequence[Path], words: Path | None) -> StimulusFiles:
    media = tuple(path for path in files if not _is_words(path))
    tables = [path for path in dict.fromkeys([*files, words]) if path is not None and path not in media]
    if len(tables) > 1:
        raise StimulusError(
            f"{stem}: {len(tables)} files of words ({', '.join(map(str, tables))}), expected at most one",
            hint="leave out all but one",
        )
    return StimulusFiles(stem, media, tables[0] if tables else _beside(media))


def _beside(media: Sequence[Path]) -> Path | None:
    found = next((beside for path in media if (beside := words_beside(path))), None)
    if found:
        log.info("%s: its words are those of %s, which lies beside it", found.stem.removesuffix(WORDS_MARK), found.name)
    return found


def _is_words(path: Path) -> bool:
    return path.suffix.lower() in WORD_SUFFIXES


def _stem(path: Path) -> str:
    return path.stem.removesuffix(WORDS_MARK) if _is_words(path) else path.stem

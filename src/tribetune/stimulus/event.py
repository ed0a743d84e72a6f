"""One thing that happens in a stimulus."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["video", "audio", "word"]


@dataclass(frozen=True)
class Event:
    """One row of a timeline.

    Parameters
    ----------
    kind : {"video", "audio", "word"}
    onset_s, duration_s : float
        Seconds from the run's first volume, or from the stimulus' start where there is no BOLD.
    file : Path or None
        The media file of a video or audio event.
    text, sentence : str
        A word, and its sentence as written, with its trailing blank where more follows; "" is unknown.
    sentence_char : int
        Position of the word in its sentence; -1 is unknown.
    estimated : bool
        Whether the times of a word were not measured but spread by a rule, see `read_words`.
    """

    kind: Kind
    onset_s: float
    duration_s: float
    file: Path | None = None
    text: str = ""
    sentence: str = ""
    sentence_char: int = -1
    estimated: bool = False

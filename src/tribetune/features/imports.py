"""Features that someone else made: read, checked, and kept in the store."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.errors import FeatureError
from tribetune.features.encoders import IMPORTED, MODALITIES
from tribetune.features.import_files import ImportOptions, Shown, read_layers
from tribetune.features.imported import imported_entry, words_content
from tribetune.features.layers import SETTINGS
from tribetune.features.stimuli import remember
from tribetune.features.store import Entry, read_entry, write_entry
from tribetune.files import hash_file
from tribetune.stimulus.timeline import timeline_of_files
from tribetune.timing import FEATURE_HZ, to_step

__all__ = ["ImportOptions", "import_features"]


def import_features(
    files: Sequence[Path], stimulus: Path | None, words: Path | None, store: Path, options: ImportOptions | None = None
) -> dict[str, tuple[int, ...]]:
    """Keep arrays that someone else made as the features of one stimulus; all of them, or none.

    Parameters
    ----------
    files : sequence of Path
        NPZ or HDF5 with arrays of (layer, dim, time) named ``text``, ``audio``, ``video`` or ``<stimulus>/text`` and so
        on; NPY with one array; or folders of the reference's cache. A step more or less than the stimulus' half seconds
        is taken for rounding: one too many is never looked at, one that is missing is zeros.
    stimulus : Path or None
        The film or sound, by whose content the features are found again. None: a stimulus of words only.
    words : Path or None
        Its words: needed for a cache of text, and for a stimulus of words only.
    store : Path
        Folder.
    options : ImportOptions or None

    Returns
    -------
    dict of modality to (n_layers, dim, n_steps)

    Raises
    ------
    FeatureError
        If an array is not at 2 Hz, not finite, of another shape or length, pickled, or not the one imported before.
    StimulusError
        If the stimulus or its words cannot be read.
    """
    options = options or ImportOptions()
    _check_options(options)
    timeline = timeline_of_files([stimulus] if stimulus else [], words)
    shown = Shown(next(path for path in (stimulus, words) if path), timeline)
    found = _gathered(files, shown, options)
    content = hash_file(shown.file) if shown.file else words_content(timeline)
    for modality, (_, array) in found.items():
        _check_new(store, imported_entry(modality, content), array, shown.name)
    for modality, (file, array) in found.items():
        setting = options.setting or "as imported"
        about = {"encoder": IMPORTED, "setting": setting, "file": shown.name, "source": file.name}
        write_entry(store, imported_entry(modality, content), np.moveaxis(array, -1, 0), about)
    remember(store, shown.given.stem, timeline)
    return {modality: array.shape for modality, (_, array) in found.items()}


def _gathered(
    files: Sequence[Path], shown: Shown, options: ImportOptions
) -> dict[str, tuple[Path, Float[np.ndarray, "layer dim time"]]]:
    n_steps = sorted({max(1, to_step(seconds)) for seconds in (shown.duration_s, shown.timeline.duration_s)})
    found: dict[str, tuple[Path, np.ndarray]] = {}
    for file in files:
        for modality, array in read_layers(file, shown, options).items():
            if modality in found:
                raise FeatureError(
                    f"{found[modality][0]} and {file} both hold {modality}", hint="leave out one of them"
                )
            found[modality] = file, _checked(array, f"{file}, {modality}", n_steps)
    if shown.file is None and set(found) - {"text"}:
        raise FeatureError(f"{', '.join(found)} of words alone", hint="give the film or sound by --stimulus FILE")
    return found


def _check_options(options: ImportOptions) -> None:
    if options.hz != FEATURE_HZ:
        raise FeatureError(
            f"features at {options.hz:g} Hz, expected {FEATURE_HZ:g} Hz: they are not resampled in silence",
            hint="average or pick them at 2 Hz, step k from k / 2 s on, and import those",
        )
    for name, chosen, known in (("modality", options.modality, MODALITIES), ("setting", options.setting, SETTINGS)):
        if chosen is not None and chosen not in known:
            raise FeatureError(f"{name} {chosen!r} is not known, expected one of {', '.join(known)}", hint=f"--{name}")


def _checked(array: np.ndarray, where: str, lengths: Sequence[int]) -> Float[np.ndarray, "layer dim time"]:
    """The array in the smallest type that keeps every value, if it is one that the stimulus can have."""
    if min(abs(array.shape[2] - n) for n in lengths) > 1:
        raise FeatureError(
            f"{where}: {array.shape[2]} steps, expected {' or '.join(map(str, lengths))} (or one more or less), two "
            "per second of the stimulus",
            hint="give the stimulus that the features were made from; the axes are (layer, dim, time)",
        )
    if not np.isfinite(array).all():
        raise FeatureError(
            f"{where}: {np.count_nonzero(~np.isfinite(array))} values are not finite", hint="make these features again"
        )
    with np.errstate(over="ignore"):
        small = array.astype(np.float16)
    return small if np.array_equal(small, array) else array


def _check_new(store: Path, entry: Entry, array: np.ndarray, name: str) -> None:
    kept = read_entry(store, entry)
    if kept is not None and not np.array_equal(np.moveaxis(kept, 0, -1), array):
        raise FeatureError(
            f"{store} has other imported {entry.modality} for {name} already",
            hint=f"choose another --store, or remove {store / entry.name}.json first",
        )

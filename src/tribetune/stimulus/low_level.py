"""What any brain answers to: brightness, movement, loudness and the number of words, at 2 Hz."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.stimulus.event import Kind
from tribetune.stimulus.media import frames, probe, sound
from tribetune.stimulus.timeline import Timeline
from tribetune.timing import FEATURE_HZ, box, n_steps, to_step

MEASURES = {"video": ("luminance", "motion_energy"), "audio": ("sound_envelope",), "word": ("word_rate",)}
"""What is measured of each kind of event."""

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Rec. 709."""

_APART_S = 1 / 12
"""Between the two pictures of a difference: the same for every frame rate, and short against a step."""

_ROWS = 64
"""Pictures are averaged down to about so many rows, so that grain and compression are no movement."""


def measure_picture(path: Path) -> dict[str, Float[np.ndarray, " step"]]:
    """Luminance and motion energy of a film, decoded once.

    Returns
    -------
    dict of str to array of shape (n_steps,)
        Per step of 0.5 s, in its middle: ``luminance``, the mean Rec. 709 luma from 0 to 1; ``motion_energy``, the mean
        square of its change over a twelfth of a second (temporal differences, not Gabor filters).

    Raises
    ------
    StimulusError
        If the picture cannot be decoded.
    """
    media = probe(path)
    steps = n_steps(media.duration_s, FEATURE_HZ)
    first = np.floor((np.arange(steps) + 0.5) / FEATURE_HZ * media.fps).astype(int)
    second = first + max(1, round(_APART_S * media.fps))
    wanted = sorted({*first.tolist(), *second.tolist()})
    luminance, motion, seen = np.zeros(steps, np.float32), np.zeros(steps, np.float32), {}
    places = {int(number): step for step, number in enumerate(second)}
    at_first = {int(number): step for step, number in enumerate(first)}
    for number, frame in frames(path, wanted):
        small = _small(frame)
        if number in at_first:
            luminance[at_first[number]] = small.mean()
            seen[at_first[number]] = small
        if number in places and (before := seen.pop(places[number], None)) is not None:
            motion[places[number]] = np.square(small - before).mean()
    return {"luminance": luminance, "motion_energy": motion}


def measure_sound(path: Path) -> dict[str, Float[np.ndarray, " step"]]:
    """Loudness of a film or recording, decoded once.

    Returns
    -------
    dict of str to array of shape (n_steps,)
        ``sound_envelope``: root mean square over each step of 0.5 s, of the mean over channels, full scale is 1.

    Raises
    ------
    StimulusError
        If the sound cannot be decoded.
    """
    steps = n_steps(probe(path).duration_s, FEATURE_HZ)
    envelope, spans = np.zeros(steps, np.float32), [(step / FEATURE_HZ, 1 / FEATURE_HZ) for step in range(steps)]
    for step, samples in enumerate(sound(path, spans)):
        envelope[step] = np.sqrt(np.square(samples.mean(0)).mean())
    return {"sound_envelope": envelope}


def place_measures(
    timeline: Timeline, measured: Mapping[tuple[Kind, Path], Mapping[str, Float[np.ndarray, " _"]]]
) -> dict[str, Float[np.ndarray, " step"]]:
    """Measures on the clock of a timeline; zero where nothing is shown.

    Parameters
    ----------
    timeline : Timeline
    measured : mapping of (kind, file) to measures
        Of every video and audio event, by `measure_picture` and `measure_sound`.

    Returns
    -------
    dict of str to array of shape (n_steps,)
        From the timeline's start, at 2 Hz; ``word_rate`` counts the words that begin in a step. A kind of event that
        the timeline lacks has no measure.
    """
    steps = n_steps(timeline.duration_s, FEATURE_HZ)
    kinds = dict.fromkeys(event.kind for event in timeline.events)
    placed = {name: np.zeros(steps, np.float32) for kind in kinds for name in MEASURES[kind]}
    for event in timeline.events:
        begin_s = event.onset_s - timeline.start_s
        if event.kind == "word":
            placed["word_rate"][min(steps - 1, to_step(begin_s))] += 1
        elif event.file is not None:
            where = box(begin_s, event.duration_s)
            for name, values in measured[event.kind, event.file].items():
                inside = placed[name][where]
                inside[: len(values)] = values[: len(inside)]
    return placed


def _small(frame: np.ndarray) -> Float[np.ndarray, "row column"]:
    """Luma from 0 to 1, averaged over blocks."""
    side = max(1, frame.shape[0] // _ROWS)
    rows, columns = (size // side for size in frame.shape[:2])
    tall = frame[: rows * side, : columns * side].reshape(rows, side, columns * side * 3)
    blocks = tall.sum(1, dtype=np.uint32).reshape(rows, columns, side, 3).sum(2)  # rows first: thrice as fast
    return blocks.astype(np.float32) @ _LUMA / (255 * side**2)

"""What a film is made of over time, from luminance to topic: the properties that simulated cortex responds to."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, UInt8
from scipy.signal import lfilter

from tribetune.simulate.film import Scene
from tribetune.simulate.language import Story, meaning_over_time
from tribetune.simulate.settings import FRAME_HZ, SOUND_HZ
from tribetune.simulate.sound import Sound
from tribetune.simulate.sprites import SPRITES
from tribetune.simulate.vocabulary import CATEGORIES

__all__ = ["CONTEXT_S", "PROPERTIES", "Picture", "measure_picture", "properties"]

_PICTURE = (
    "luminance_left",
    "luminance_right",
    "contrast_left",
    "contrast_right",
    "motion_left",
    "motion_right",
    "fine",
    "flicker",
)
_SCENE = ("camera", "cut", "colour", "place")
_SOUND = ("envelope", "onset", "band_low", "band_mid", "band_high", "pitch", "voice", "music", "noise")
_WORDS = ("words", "letters", "content")
_CROSS = ("voice_x_face", "words_x_flicker", "music_x_motion", "emotion_x_face")

CONTEXT_S = (15.0, 40.0)
"""Time constants of slow context, in the range of narrative timescales of association cortex: order of 10-40 s, as
between sentences and paragraphs (Lerner et al. 2011; Hasson et al. 2015)."""

PROPERTIES: tuple[str, ...] = (
    *(*_PICTURE, *_SCENE, *SPRITES, *_SOUND, *_WORDS),
    *(f"means_{name}" for name in CATEGORIES),
    *(f"context_{name}" for name in CATEGORIES),
    *(f"theme_{k}" for k in range(4)),
    *_CROSS,
)
"""Names of all properties, in the order of the columns."""


@dataclass(frozen=True)
class Picture:
    """What was measured on rendered frames, (n_frames, 8), and each kind's share of the screen, (n_frames, 3)."""

    measures: Float[np.ndarray, "time 8"]
    area: Float[np.ndarray, "time kind"]


def measure_picture(luma: UInt8[np.ndarray, "time h w"], area: Float[np.ndarray, "time kind"]) -> Picture:
    """Luminance, contrast and motion energy of either half of the screen, fine texture and flicker, per frame.

    Parameters
    ----------
    luma : array of shape (n_frames, height, width)
        One scene: nothing is measured across its cut.
    area : array of shape (n_frames, n_kinds)
        Share of the screen that each kind of thing covers.
    """
    small = luma[:, ::2, ::2].astype(np.float32) / 255
    half = small.shape[2] // 2
    sides = (small[:, :, :half], small[:, :, half:])
    change = np.abs(np.diff(small, axis=0, prepend=small[:1]))
    moved = (change[:, :, :half].mean((1, 2)), change[:, :, half:].mean((1, 2)))
    light = small.mean((1, 2))
    columns = [side.mean((1, 2)) for side in sides] + [side.std((1, 2)) for side in sides]
    columns += [energy / (energy + 0.02) for energy in moved]  # saturates, as MT does (Naka & Rushton 1966)
    columns += [np.abs(np.diff(small, axis=2)).mean((1, 2)), np.abs(np.diff(light, prepend=light[0]))]
    return Picture(np.stack(columns, 1).astype(np.float32), area)


def properties(
    story: Story, sound: Sound, scenes: tuple[Scene, ...], picture: Picture
) -> Float[np.ndarray, "time property"]:
    """All properties of a film, in natural units, per frame.

    Returns
    -------
    array of shape (n_frames, n_properties)
        Columns as in ``PROPERTIES``.
    """
    table: dict[str, np.ndarray] = dict(zip(_PICTURE, picture.measures.T, strict=True))
    table |= _scene_properties(scenes, len(picture.measures))
    table |= dict(zip(SPRITES, picture.area.T / (picture.area.T + 0.1), strict=True))
    table |= _sound_properties(sound)
    meaning = meaning_over_time(story)
    table |= _word_properties(story, len(meaning))
    table |= {f"means_{name}": column for name, column in zip(CATEGORIES, meaning.T, strict=True)}
    table |= {
        f"context_{name}": column for name, column in zip(CATEGORIES, _leak(meaning, CONTEXT_S[0]).T, strict=True)
    }
    themes = _leak(np.einsum("tc,ck->tk", meaning, _theme_axes()), CONTEXT_S[1])
    table |= {f"theme_{k}": column for k, column in enumerate(themes.T)}
    rate = _leak(table["words"][:, None], 1.0)[:, 0]
    table["voice_x_face"] = table["voice"] * table["face"]
    table["words_x_flicker"] = rate * _leak(table["flicker"][:, None], 1.0)[:, 0]
    table["music_x_motion"] = table["music"] * (table["motion_left"] + table["motion_right"])
    table["emotion_x_face"] = table["context_emotion"] * table["face"]
    return np.stack([table[name] for name in PROPERTIES], 1).astype(np.float32)


def _scene_properties(scenes: tuple[Scene, ...], n_frames: int) -> dict[str, np.ndarray]:
    table = {name: np.zeros(n_frames, np.float32) for name in _SCENE}
    for scene in scenes:
        frames = slice(scene.start, scene.stop)
        table["camera"][frames] = np.tanh(np.hypot(*scene.drift) / 2)
        table["colour"][frames] = np.hypot(scene.colour[0] - 128, scene.colour[1] - 128) / 34
        table["place"][frames] = scene.place
        table["cut"][scene.start] = 1.0
    return table


def _sound_properties(sound: Sound) -> dict[str, np.ndarray]:
    n_frames = len(sound.pitch_hz)
    per_frame = int(SOUND_HZ / FRAME_HZ)
    chunks = sound.samples[: n_frames * per_frame].reshape(n_frames, per_frame)
    power = np.abs(np.fft.rfft(chunks * np.hanning(per_frame).astype(np.float32), axis=1)) ** 2 / per_frame
    edges = (np.array([80, 400, 1500, 6000]) * per_frame / SOUND_HZ).astype(int)
    bands = [power[:, low:high].sum(1) for low, high in pairwise(edges)]
    loud = np.sqrt(sum(bands))
    table = {"envelope": loud / (loud + 0.5)}
    table["onset"] = np.maximum(np.diff(table["envelope"], prepend=0.0), 0)
    for name, band in zip(("band_low", "band_mid", "band_high"), bands, strict=True):
        table[name] = np.log1p(20 * band)
    table["pitch"] = np.where(sound.pitch_hz > 0, np.log2(np.maximum(sound.pitch_hz, 80) / 80), 0)
    table |= {"voice": np.tanh(2 * sound.voice), "music": np.tanh(3 * sound.music), "noise": np.tanh(3 * sound.noise)}
    return table


def _word_properties(story: Story, n_frames: int) -> dict[str, np.ndarray]:
    table = {name: np.zeros(n_frames, np.float32) for name in _WORDS}
    for word in story.words:
        frame = min(n_frames - 1, round(word.onset_s * FRAME_HZ))
        table["words"][frame] += 1
        table["letters"][frame] += len(word.text) / 5
        table["content"][frame] += word.category >= 0
    return table


def _leak(values: np.ndarray, seconds: float) -> np.ndarray:
    """Leaky integration over time: the mean is kept, the past fades with the time constant."""
    keep = np.exp(-1 / (FRAME_HZ * seconds))
    return lfilter([1 - keep], [1, -keep], values, axis=0)


def _theme_axes() -> Float[np.ndarray, "category 4"]:
    """Four contrasts of categories: inner and outer world, living and made, moving and still, social and not."""
    axes = np.zeros((len(CATEGORIES), 4), np.float32)
    for k, (plus, minus) in enumerate(
        (
            (("thought", "emotion"), ("places", "nature")),
            (("animals", "people", "body"), ("tools", "food")),
            (("motion", "nature"), ("numbers", "tools")),
            (("people", "speech", "emotion"), ("animals", "tools")),
        )
    ):
        axes[[CATEGORIES.index(name) for name in plus], k] = 1
        axes[[CATEGORIES.index(name) for name in minus], k] = -1
    return axes

"""The sound of a film: formant voices timed to the words, music, noise, and silence."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from tribetune.simulate.language import Story, Word
from tribetune.simulate.settings import FRAME_HZ, SOUND_HZ, draw

__all__ = ["Sound", "synthesize"]

_FORMANTS_HZ = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
"""First three formants of five vowels (Peterson & Barney 1952)."""

_PITCH_HZ = (125.0, 210.0, 100.0, 290.0)
"""Speaking pitch of narrator, woman, man and child."""

_SCALE_HZ = tuple(220.0 * 2 ** (step / 12) for step in (0, 2, 4, 7, 9, 12, 14, 16))


@dataclass(frozen=True)
class Sound:
    """A film's sound and what it is made of.

    Attributes
    ----------
    samples : array of shape (n_samples,)
        Mono, -1 to 1, at ``SOUND_HZ``.
    pitch_hz : array of shape (n_frames,)
        Pitch of the voice per frame; 0 where nobody speaks.
    voice, music, noise : array of shape (n_frames,)
        Loudness of each class per frame, 0 to about 1.
    """

    samples: Float[np.ndarray, " sample"]
    pitch_hz: Float[np.ndarray, " time"]
    voice: Float[np.ndarray, " time"]
    music: Float[np.ndarray, " time"]
    noise: Float[np.ndarray, " time"]


def synthesize(seed: int, run: int, story: Story) -> Sound:
    """Make a film's sound: words as voiced syllables, music and noise in stretches of 8-25 s, quieter under speech."""
    rng = draw(seed, "sound", run)
    n_frames = round(story.duration_s * FRAME_HZ)
    n = round(n_frames / FRAME_HZ * SOUND_HZ)
    voice, pitch = _voices(rng, story, n)
    music_on, noise_on = _stretches(rng, n_frames), _stretches(rng, n_frames)
    music = _music(rng, music_on, n)
    noise = _noise(rng, noise_on, n)
    parts = {"voice": 0.9 * voice, "music": music, "noise": noise}
    loudness = {name: _frame_rms(part, n_frames) * 8 for name, part in parts.items()}
    samples = np.tanh(1.3 * (parts["voice"] + parts["music"] + parts["noise"])).astype(np.float32)
    return Sound(samples, pitch, loudness["voice"], loudness["music"], loudness["noise"])


def _voices(rng: np.random.Generator, story: Story, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Speak every word, sentence by sentence, with a pitch that falls over the sentence."""
    voice = np.zeros(n, np.float32)
    pitch = np.zeros(round(n / SOUND_HZ * FRAME_HZ), np.float32)
    words = iter(story.words)
    word: Word | None = next(words, None)
    for sentence in story.sentences:
        base = _PITCH_HZ[sentence.speaker] * float(np.exp(rng.normal(0, 0.08)))
        while word is not None and word.onset_s < sentence.offset_s:
            progress = (word.onset_s - sentence.onset_s) / (sentence.offset_s - sentence.onset_s)
            hertz = base * (1.18 - 0.35 * progress) * float(np.exp(rng.normal(0, 0.06)))
            _pronounce(rng, word, hertz, voice)
            frames = slice(int(word.onset_s * FRAME_HZ), int((word.onset_s + word.duration_s) * FRAME_HZ) + 1)
            pitch[frames] = hertz
            word = next(words, None)
    return voice, pitch


def _pronounce(rng: np.random.Generator, word: Word, hertz: float, voice: np.ndarray) -> None:
    """Add a word's syllables: a burst of noise, then pulses at the voice's pitch through the vowel's formants."""
    vowels = [letter for letter in word.text.lower() if letter in _FORMANTS_HZ] or ["e"]
    length = int(word.duration_s * SOUND_HZ / len(vowels))
    for number, vowel in enumerate(vowels):
        at = int(word.onset_s * SOUND_HZ) + number * length
        onset = length // 4
        burst = voice[at : at + onset]
        burst += (0.05 * rng.standard_normal(len(burst)) * np.hanning(len(burst) + 2)[1:-1]).astype(np.float32)
        room = voice[at + onset : at + length]
        time = np.arange(len(room)) / SOUND_HZ
        phase = np.floor(hertz * time * (1 + 0.02 * np.sin(2 * np.pi * 5 * time)))
        spoken = lfilter(*_formant_filter(vowel), np.diff(phase, prepend=-1.0))
        room += (spoken * np.hanning(len(room) + 2)[1:-1]).astype(np.float32)


@cache
def _formant_filter(vowel: str) -> tuple[np.ndarray, np.ndarray]:
    """Three resonances in parallel (Klatt 1980), of 90-150 Hz bandwidth, falling by 6 dB each, as one filter."""
    top, bottom = np.zeros(1), np.ones(1)
    for rank, (hertz, width) in enumerate(zip(_FORMANTS_HZ[vowel], (90, 110, 150), strict=True)):
        radius = np.exp(-np.pi * width / SOUND_HZ)
        poles = np.array([1, -2 * radius * np.cos(2 * np.pi * hertz / SOUND_HZ), radius**2])
        zeros = 0.12 * 0.5**rank * np.array([1.0, 0.0, -1.0])
        top = np.polyadd(np.polymul(top, poles), np.polymul(zeros, bottom))
        bottom = np.polymul(bottom, poles)
    return top, bottom


def _stretches(rng: np.random.Generator, n_frames: int) -> np.ndarray:
    """Loudness that comes and goes in stretches of 8-25 s, with silence of 5-40 s between them, and ramps of 1 s."""
    on = np.zeros(n_frames, np.float32)
    frame = int(rng.uniform(0, 20) * FRAME_HZ)
    while frame < n_frames:
        length = int(rng.uniform(8, 25) * FRAME_HZ)
        on[frame : frame + length] = rng.uniform(0.3, 1.0)
        frame += length + int(rng.uniform(5, 40) * FRAME_HZ)
    ramp = np.ones(int(FRAME_HZ)) / int(FRAME_HZ)
    return np.convolve(on, ramp, mode="same").astype(np.float32)


def _music(rng: np.random.Generator, loudness: np.ndarray, n: int) -> np.ndarray:
    """Plucked notes of three harmonics on a pentatonic scale, 2-5 notes a second."""
    out = np.zeros(n + SOUND_HZ, np.float32)
    time = np.arange(int(0.6 * SOUND_HZ), dtype=np.float32) / SOUND_HZ
    decay = np.exp(-5 * time) * np.minimum(1, time / 0.005)
    tones = [
        (decay * sum(np.sin(2 * np.pi * hertz * h * time) / h**1.5 for h in (1, 2, 3))).astype(np.float32)
        for hertz in _SCALE_HZ
    ]
    clock, pace = 0.0, 0.3
    while clock < n / SOUND_HZ:
        loud = loudness[min(int(clock * FRAME_HZ), len(loudness) - 1)]
        if loud > 0.05:
            at = int(clock * SOUND_HZ)
            out[at : at + len(time)] += 0.12 * loud * tones[int(rng.integers(len(tones)))]
            clock += pace
        else:
            pace = float(rng.uniform(0.2, 0.5))
            clock += 0.2
    return out[:n]


def _noise(rng: np.random.Generator, loudness: np.ndarray, n: int) -> np.ndarray:
    """Wind and traffic: noise low-passed more or less, with slow gusts."""
    white = rng.standard_normal(n).astype(np.float32)
    low = lfilter([0.06], [1, -0.94], white).astype(np.float32)
    gusts = np.convolve(rng.standard_normal(len(loudness)), np.hanning(25) / 3.5, mode="same")
    level = loudness * np.clip(1 + 0.4 * gusts, 0.2, 2)
    smooth = np.repeat(level.astype(np.float32), n // len(level))
    return smooth * (np.float32(0.35) * low + np.float32(0.01) * white)


def _frame_rms(samples: np.ndarray, n_frames: int) -> np.ndarray:
    per_frame = len(samples) // n_frames
    return np.sqrt((samples[: per_frame * n_frames].reshape(n_frames, per_frame) ** 2).mean(1))

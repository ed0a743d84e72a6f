"""The sound of films and recordings."""

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tribetune.errors import StimulusError
from tribetune.stimulus.media import probe, sound
from tribetune.stimulus.samples import Reservoir

HZ = 16000
SECONDS = np.arange(2 * HZ) / HZ
DARK = np.zeros((20, 16, 32, 3), np.uint8)


def tone(hz: float, loudness: float = 0.3) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * hz * SECONDS)


def heard(path: Path) -> np.ndarray:
    (samples,) = sound(path, [(0.0, probe(path).duration_s)])
    return samples


def loudness(samples: np.ndarray, hz: float, rate: int = 44100) -> float:
    """Amplitude of one tone in the first second and a half."""
    seconds = np.arange(int(1.5 * rate)) / rate
    return float(2 * np.abs(np.mean(samples[: len(seconds)] * np.exp(-2j * np.pi * hz * seconds))))


def write_wav(path: Path, samples: np.ndarray, width: int, *, is_float: bool = False, hz: int = 8000) -> Path:
    """Samples of shape (n_channels, n) from -1 to 1."""
    whole = 2 ** (8 * width - 1) - 1
    if is_float:
        raw = samples.T.astype(f"<f{width}").tobytes()
    elif width == 1:
        raw = (np.round(samples.T * 127) + 128).astype("u1").tobytes()
    else:
        raw = b"".join(int(value).to_bytes(width, "little", signed=True) for value in np.round(samples.T * whole).flat)
    n = len(samples)
    about = struct.pack("<IHHIIHH", 16, 3 if is_float else 1, n, hz, hz * n * width, n * width, 8 * width)
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + len(raw)) + b"WAVEfmt " + about + b"data" + struct.pack("<I", len(raw)) + raw
    )
    return path


@pytest.mark.parametrize(
    ("width", "is_float", "step"),
    [
        (1, False, 1 / 64),
        (2, False, 1 / 2**14),
        (3, False, 1 / 2**22),
        (4, False, 1 / 2**22),  # float32 holds 24 bits
        (4, True, 0),
        (8, True, 1 / 2**23),
    ],
)
def test_a_recording_of_any_width_lies_between_minus_one_and_one(
    tmp_path: Path, width: int, is_float: bool, step: float
) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(np.float32)
    path = write_wav(tmp_path / "sound.wav", samples, width, is_float=is_float)
    assert probe(path).duration_s == 0.5
    np.testing.assert_allclose(heard(path), samples, rtol=0, atol=step)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libmp3lame", "mp3"), ("libopus", "ogg"), ("flac", "flac"), ("aac", "m4a"), ("aac", "aac"), ("alac", "m4a")],
)
def test_recordings_are_heard_whatever_their_codec(
    tmp_path: Path, write_media: Callable[..., Path], codec: str, suffix: str
) -> None:
    path = write_media(tmp_path / f"sound.{suffix}", None, {"samples": tone(440)[None], "codec": codec})
    samples, media = heard(path), probe(path)
    assert not media.has_video
    assert media.duration_s == pytest.approx(2, abs=0.15)  # codecs add a block or two
    assert samples.shape[1] / media.sample_hz == pytest.approx(2, abs=0.15)
    assert loudness(samples[0], 440, media.sample_hz) == pytest.approx(0.3, abs=0.05)


def test_a_length_that_could_only_be_guessed_is_counted(tmp_path: Path, write_media: Callable[..., Path]) -> None:
    """A file of AAC frames does not say how long it is; its first ones, of silence, are smaller than the others."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * HZ)
    path = write_media(tmp_path / "sound.aac", None, {"samples": np.concatenate([np.zeros(8 * HZ), noise])[None]})
    assert probe(path).duration_s == pytest.approx(12, abs=0.15)


def test_the_cover_of_a_record_is_no_film(tmp_path: Path, write_media: Callable[..., Path]) -> None:
    cover = {"pixels": DARK[:1], "codec": "mjpeg", "pix_fmt": "yuvj420p", "fps": 1, "is_cover": True}
    path = write_media(tmp_path / "song.mp3", cover, {"samples": tone(440)[None], "codec": "libmp3lame"})
    media = probe(path)
    assert (media.has_video, media.has_audio) == (False, True)
    assert heard(path).shape[0] == 1


def test_surround_sound_is_mixed_down_as_ffmpeg_does(tmp_path: Path, write_media: Callable[..., Path]) -> None:
    pitches = [300, 500, 700, 60, 1100, 1300]  # left, right, centre, deep, left behind, right behind
    samples = np.stack([tone(hz, 0.2) for hz in pitches])
    path = write_media(tmp_path / "film.mp4", {"pixels": DARK}, {"samples": samples, "layout": "5.1"})
    mixed = heard(path)
    whole = 1 + 2 * np.sqrt(0.5)  # what one side may add up to; the deep channel is left out
    left, right = ([loudness(side, hz) for hz in pitches] for side in mixed)
    side, middle = 0.2 / whole, 0.2 * np.sqrt(0.5) / whole
    np.testing.assert_allclose(left, [side, 0, middle, 0, middle, 0], atol=0.004)  # AAC is lossy
    np.testing.assert_allclose(right, [0, side, middle, 0, 0, middle], atol=0.004)


def test_of_several_sounds_the_default_one_is_heard_and_named(
    tmp_path: Path, write_media: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    tracks = [{"samples": tone(hz)[None], "is_default": hz == 700} for hz in (300, 700, 1100)]
    path = write_media(tmp_path / "film.mkv", {"pixels": DARK}, *tracks)
    with caplog.at_level("INFO", "tribetune"):
        samples = heard(path)
    assert [record.message for record in caplog.records] == ["film.mkv: 3 audio streams, number 2 is used"]
    assert loudness(samples[0], 700) == pytest.approx(0.3 * np.sqrt(0.5), abs=0.02)  # one channel to two
    assert loudness(samples[0], 300) == pytest.approx(0, abs=0.01)


def test_sound_that_starts_late_stays_with_the_picture(tmp_path: Path, write_media: Callable[..., Path]) -> None:
    path = write_media(
        tmp_path / "film.mkv",
        {"pixels": DARK, "places": range(30, 50)},
        {"samples": tone(440)[None, :HZ], "first_s": 3.5},
    )
    samples = heard(path)
    first = int(np.argmax(np.abs(samples[0]) > 0.05))
    assert first / 44100 == pytest.approx(0.5, abs=0.03)


def test_a_recording_that_changes_on_the_way_is_refused(tmp_path: Path, write_media: Callable[..., Path]) -> None:
    mono = write_media(tmp_path / "mono.aac", None, {"samples": tone(440)[None]})
    pair = np.stack([tone(440), tone(440)])
    stereo = write_media(tmp_path / "stereo.aac", None, {"samples": pair, "layout": "stereo"})
    both = tmp_path / "both.aac"
    both.write_bytes(mono.read_bytes() + stereo.read_bytes())
    with pytest.raises(StimulusError, match=r"both\.aac: the sound changes to stereo at 16000 Hz on the way"):
        heard(both)


@given(
    lengths=st.lists(st.integers(0, 7), max_size=8),
    cuts=st.lists(st.integers(0, 40), min_size=2, max_size=8).map(sorted),
)
def test_what_is_taken_is_what_was_poured_in(lengths: list[int], cuts: list[int]) -> None:
    whole = np.arange(2 * sum(lengths), dtype=np.float32).reshape(2, -1)
    ends = np.cumsum([0, *lengths])
    reservoir = Reservoir(whole[:, a:b] for a, b in pairwise(ends))
    for start, stop in [*zip(cuts[::2], cuts[1::2], strict=False), (cuts[-1], None)]:
        taken, expected = reservoir.take(start, stop), whole[:, start:stop]
        assert taken.shape[1] == expected.shape[1]
        assert not expected.size or np.array_equal(taken, expected)


def test_nothing_is_kept_of_what_was_passed_over() -> None:
    kept: list[int] = []

    def blocks() -> Iterator[np.ndarray]:
        for _ in range(50):
            kept.append(sum(block.shape[1] for block in reservoir.held))
            yield np.zeros((1, 100), np.float32)

    reservoir = Reservoir(blocks())
    assert reservoir.take(4500, 4800).shape == (1, 300)
    assert max(kept) <= 300

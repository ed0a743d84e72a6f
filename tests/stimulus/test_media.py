"""Pictures and sound of a stimulus file."""

import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.media import count_frames, frames, probe, sound

TONE = np.sin(2 * np.pi * 220 * np.arange(3 * 16000) / 16000)


def write_wav(path: Path, samples: np.ndarray, hz: int = 8000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(hz)
        file.writeframes(samples.T.astype("<i2").tobytes())
    return path


def test_a_film_has_picture_and_sound(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    media = probe(write_film(tmp_path / "film.mp4", sound=TONE))
    assert (media.has_video, media.has_audio, media.fps) == (True, True, 10.0)
    assert media.duration_s == pytest.approx(3.0, abs=0.1)  # AAC comes in blocks of 64 ms
    assert media.duration_s == round(media.duration_s, 2)


def test_a_silent_film_has_no_sound_and_a_recording_no_picture(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = probe(write_film(tmp_path / "film.mp4"))
    assert (film.has_video, film.has_audio) == (True, False)
    recording = probe(write_wav(tmp_path / "sound.wav", np.zeros((1, 12345))))
    assert (recording.has_video, recording.has_audio, recording.sample_hz) == (False, True, 8000)
    assert recording.duration_s == 12345 / 8000


def test_the_frames_asked_for_are_delivered_once_and_in_order(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4")
    delivered = list(frames(film, [0, 3, 4, 17, 29, 30, 99]))
    assert [number for number, _ in delivered] == [0, 3, 4, 17, 29]  # there is no frame 30
    for number, frame in delivered:
        assert frame.shape == (16, 32, 3)
        assert abs(frame.mean() - 8 * number) < 3  # limited-range YUV and back


def test_spans_of_sound_join_to_the_whole(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32767, (2, 20000))
    path = write_wav(tmp_path / "sound.wav", samples)
    spans = [(0.0, 1.0), (1.0, 0.5), (1.5, 1.0)]
    pieces = list(sound(path, spans))
    assert [piece.shape for piece in pieces] == [(2, 8000), (2, 4000), (2, 8000)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1) * 32768, samples)  # 16 bits are exact in float32


def test_a_films_sound_is_stereo_and_as_long_as_the_film(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4", places=range(50), sound=2 * TONE)
    (whole,) = sound(film, [(0.0, probe(film).duration_s)])
    assert whole.shape == (2, round(44100 * probe(film).duration_s))
    assert not whole[:, 4 * 44100 :].any()
    assert 0.989 < np.abs(whole).max() <= 0.99  # louder samples are clipped


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "0 bytes"),
        (b"This is a shopping list, not a film.\n" * 20, "cannot be read as video or sound"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 5, "neither a picture nor sound"),
    ],
)
def test_what_is_no_film_is_refused_by_name(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StimulusError, match=says) as caught:
        probe(path)
    assert "film.mp4" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("options", [{"movflags": "faststart"}, {}])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_film_that_was_cut_off_is_refused_with_the_time_it_reaches(
    tmp_path: Path, write_film: Callable[..., Path], write_media: Callable[..., Path], suffix: str, options: dict
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 16, 32, 3), dtype=np.uint8)
    track = {"samples": np.tile(TONE, 2)[None, : 5 * 16000]}
    film = write_media(tmp_path / f"film.{suffix}", {"pixels": noise}, track, **options)
    content = film.read_bytes()
    film.write_bytes(content[: int(0.7 * len(content))])
    says = r"the (file|picture) breaks off at [1-4]\.\d s, expected 5\.\d s"
    if suffix == "mp4" and not options:  # the table of contents was at the end
        says = "neither a picture nor sound|cannot be read"
    with pytest.raises(StimulusError, match=says):
        count_frames(film)
    with pytest.raises(StimulusError, match=says):
        list(frames(film, [0, 1]))
    with pytest.raises(StimulusError, match=says):
        list(sound(film, [(0.0, 5.0)]))


def test_a_film_that_does_not_say_its_length_is_read_to_its_end(
    tmp_path: Path, write_media: Callable[..., Path]
) -> None:
    path = write_media(tmp_path / "film.mkv", {"pixels": np.zeros((25, 16, 32, 3), np.uint8)}, live="1")
    with av.open(str(path)) as container:
        assert container.duration is None
    assert probe(path).duration_s == 2.5


def test_a_recording_has_no_frames_and_a_silent_film_no_sound(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    with pytest.raises(StimulusError, match="no picture"):
        list(frames(write_wav(tmp_path / "sound.wav", np.zeros((1, 800))), [0]))
    with pytest.raises(StimulusError, match="no sound"):
        list(sound(write_film(tmp_path / "film.mp4"), [(0.0, 1.0)]))


@pytest.mark.parametrize(
    ("name", "duration_s", "fps", "has_audio"),
    [("nasa_13013.mp4", 13.06, 30000 / 1001, True), ("sintel_a.mp4", 52.17, 24.0, True), ("jfk.flac", 11.0, 0.0, True)],
)
def test_real_files_decode(data_folder: Path, name: str, duration_s: float, fps: float, has_audio: bool) -> None:
    media = probe(data_folder / "media" / name)
    assert (media.duration_s, media.has_audio) == (duration_s, has_audio)
    assert media.fps == pytest.approx(fps)
    (samples,) = sound(media.path, [(0.0, duration_s)])
    assert samples.shape == (2, round(duration_s * 44100))
    assert np.abs(samples).max() > 0.1
    if fps:
        assert [number for number, _ in frames(media.path, [0, 100, 10**6])] == [0, 100]


def test_every_real_clip_decodes_to_its_end(data_folder: Path) -> None:
    clips = [path for path in sorted((data_folder / "media").iterdir()) if path.suffix in {".mp4", ".flac"}]
    assert len(clips) >= 3
    for path in clips:
        media = probe(path)
        pieces = list(sound(path, [(0.0, 5.0), (5.0, media.duration_s - 5.0)]))
        assert sum(piece.shape[1] for piece in pieces) == round(media.duration_s * media.sample_hz)
        if media.has_video:
            last = count_frames(path) - 1
            assert last / media.fps == pytest.approx(media.duration_s, abs=0.1)
            assert [number for number, _ in frames(path, [0, last])] == [0, last]


def test_the_sound_of_a_film_equals_the_references(fixtures_folder: Path) -> None:
    golden = np.load(fixtures_folder / "features/golden_tf5.npz")["audio/clip/extracted_wav_30s_to_30.5s"]
    _, piece, _ = sound(fixtures_folder / "features/clip.mp4", [(0.0, 30.0), (30.0, 0.5), (30.5, 44.5)])
    np.testing.assert_array_equal(piece.T * 32768, golden)


def test_a_film_with_several_streams_is_told_of_once(
    data_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = tmp_path / "two-of-each.mp4"
    film.symlink_to(data_folder / "media" / "nasa_13013.mp4")
    with caplog.at_level("INFO", "tribetune"):
        for _ in range(3):
            probe(film)
    assert [record.message for record in caplog.records] == [
        "two-of-each.mp4: 2 video streams, number 3 (eng) is used",
        "two-of-each.mp4: 2 audio streams, number 4 (eng) is used",
    ]

"""Brightness, movement, loudness and words at 2 Hz."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tribetune.stimulus.event import Event
from tribetune.stimulus.low_level import measure_picture, measure_sound, place_measures
from tribetune.stimulus.timeline import Timeline


def film(path: Path, write_media: Callable[..., Path], greys: np.ndarray, **sound: np.ndarray) -> Path:
    """10 frames a second, each of one grey."""
    pixels = np.broadcast_to(greys.astype(np.uint8)[:, None, None, None], (len(greys), 32, 64, 3))
    return write_media(path, {"pixels": pixels}, *({"samples": samples[None]} for samples in sound.values()))


def test_luminance_is_the_grey_shown_in_the_middle_of_a_step(tmp_path, write_media):
    greys = np.repeat([0, 50, 100, 200], 5)
    found = measure_picture(film(tmp_path / "film.mp4", write_media, greys))
    np.testing.assert_allclose(found["luminance"], np.array([0, 50, 100, 200]) / 255, atol=0.01)  # video levels


def test_a_still_picture_does_not_move_and_a_flicker_does_by_its_square(tmp_path, write_media):
    still, flicker = np.full(10, 100), np.tile([100, 151], 5)
    found = measure_picture(film(tmp_path / "film.mp4", write_media, np.concatenate([still, flicker])))
    # (51 / 255)² = 0.04; the last frame of the film has no other to differ from
    np.testing.assert_allclose(found["motion_energy"], [0, 0, 0.04, 0.04], atol=0.003)


def test_movement_without_a_change_of_mean_luminance_is_seen(tmp_path, write_media):
    pixels = np.zeros((20, 32, 64, 3), np.uint8)
    pixels[:, :, :32] = 200
    pixels[10:] = [np.roll(frame, 8 * k, axis=1) for k, frame in enumerate(pixels[10:])]
    found = measure_picture(write_media(tmp_path / "film.mp4", {"pixels": pixels}))
    assert np.ptp(found["luminance"]) < 0.01
    assert found["motion_energy"][:2].max() < 0.001
    assert found["motion_energy"][2:].min() > 0.05


def test_a_large_picture_is_averaged_so_that_grain_is_no_movement(tmp_path, write_media):
    rng = np.random.default_rng(0)
    grain = rng.integers(90, 110, (10, 256, 256, 3), dtype=np.uint8)
    found = measure_picture(write_media(tmp_path / "film.mp4", {"pixels": grain}))
    # of single pixels it would be 5.7e-4; blocks of 4 × 4 have a sixteenth of that
    np.testing.assert_allclose(found["motion_energy"], 5.7e-4 / 16, rtol=0.1)
    np.testing.assert_allclose(found["luminance"], 100 / 255, atol=0.01)


@pytest.mark.parametrize("hz", [16000, 11025])
def test_the_envelope_is_the_root_mean_square_of_a_step(tmp_path, write_media, hz):
    seconds = np.arange(2 * hz) / hz
    loud = np.where(seconds < 1, 0.5, 0.1) * np.sin(2 * np.pi * 200 * seconds)
    path = write_media(tmp_path / "sound.wav", None, {"samples": loud[None], "codec": "pcm_s16le", "hz": hz})
    found = measure_sound(path)["sound_envelope"]
    np.testing.assert_allclose(found, np.repeat([0.5, 0.1], 2) / np.sqrt(2), atol=1e-3)  # 16 bits


def test_measures_are_placed_where_the_film_is_shown_and_words_are_counted():
    path = Path("film.mp4")
    events = (
        Event("video", 10.0, 2.0, path),
        Event("video", 20.0, 1.0, path),
        Event("word", 11.0, 0.2, text="a"),
        Event("word", 11.1, 0.2, text="b"),
        Event("word", 21.0, 0.2, text="c"),
    )
    measured = {("video", path): {"luminance": np.arange(1, 6.0, dtype=np.float32)}}
    measured["video", path]["motion_energy"] = np.zeros(5, np.float32)
    placed = place_measures(Timeline(events), measured)
    assert set(placed) == {"luminance", "motion_energy", "word_rate"}  # no sound, no envelope
    assert placed["luminance"].tolist() == [1, 2, 3, 4, *[0] * 16, 1, 2, 0]  # the second showing is cut short
    assert np.flatnonzero(placed["word_rate"]).tolist() == [2, 22]
    assert placed["word_rate"][2] == 2

"""Pictures to features."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from tribetune.errors import FeatureError
from tribetune.features.clips import Preparation, clip_frames, cut_clips
from tribetune.features.encoders import Encoders, Options, encoders
from tribetune.features.video import encode_video
from tribetune.stimulus.media import probe

CPU = torch.device("cpu")
PLAIN = Preparation(shortest=8, crop=(8, 8), mean=(0, 0, 0), std=(1, 1, 1), full_range=255)


def encode(path: Path, chosen: Encoders) -> np.ndarray:
    return np.moveaxis(np.concatenate(list(encode_video(path, chosen["video"], CPU))), 0, -1)


def test_a_clip_ends_with_its_step_and_begins_four_seconds_before() -> None:
    frames = clip_frames(10.0, fps=25, n_frames=8)
    assert frames.shape == (20, 8)
    assert frames[9].tolist() == [37, 50, 62, 75, 87, 100, 112, 125]  # 1.5 s to 5 s
    assert frames[0].tolist() == [0] * 7 + [12]  # before the start the first frame stands in
    assert frames[-1, -1] == 250  # past the last one, 249


def test_clips_never_look_ahead() -> None:
    frames = clip_frames(12.3, fps=24, n_frames=64)
    ends_s = np.linspace(0, 12.3, 26)[1:]
    assert (frames <= 24 * ends_s[:, None] + 1e-5).all()
    assert (np.diff(frames, axis=1) >= 0).all()


def test_every_clip_gets_its_frames_from_one_pass(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    shades = np.arange(30) * 8
    film = write_film(
        tmp_path / "film.mp4", np.broadcast_to(shades[:, None, None, None], (30, 16, 24, 3)).astype(np.uint8)
    )
    schedule = clip_frames(3.0, fps=10, n_frames=8)
    clips = np.stack(list(cut_clips(film, schedule, PLAIN)))
    assert clips.shape == (6, 8, 3, 8, 8)
    shown = np.round(clips.mean((2, 3, 4)) / 8).astype(int)
    np.testing.assert_array_equal(shown[:-1], schedule[:-1])
    # Frame 30 does not exist: the frame asked for just before, 25, is shown again (as the reference does).
    assert schedule[-1].tolist()[-2:] == [25, 30]
    assert shown[-1].tolist()[-2:] == [25, 25]


@pytest.mark.parametrize("shape", [(90, 160, 3), (160, 90, 3), (48, 48, 3), (20, 333, 3)])
def test_frames_are_resized_to_their_shorter_edge_and_cropped_in_the_middle(shape: tuple[int, int, int]) -> None:
    preparation = Preparation.of({"crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 36}})
    grey = np.full(shape, 77, np.uint8)
    grey[:, : shape[1] // 2, 0] = 0
    small = preparation.resized(grey)
    assert small.shape == (3, 32, 32)
    assert small.dtype == np.uint8
    assert (small[1:] == 77).all()
    assert small[0, :, :14].max() == 0
    assert small[0, :, 18:].min() == 77


def test_colours_are_normalised_as_imagenet() -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 4, 4)
    black, white = Preparation.of({}).normalised(pixels)
    torch.testing.assert_close(black[:, 0, 0], torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))
    torch.testing.assert_close(white[:, 0, 0], torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_pooling_in_hooks_equals_the_mean_of_stacked_states(tiny_folder: Path, film: Path) -> None:
    chosen = encoders(tiny_folder, Options(setting="all"))
    features = encode(film, chosen)
    preparation = Preparation.of(chosen["video"].preprocessor)
    clips = torch.from_numpy(np.stack(list(cut_clips(film, clip_frames(probe(film).duration_s, 10, 16), preparation))))
    model = AutoModel.from_pretrained(tiny_folder / "video").eval()
    with torch.inference_mode():
        output = model(preparation.normalised(clips), output_hidden_states=True)  # with its predictor
    for state in range(4):
        np.testing.assert_allclose(features[state], output.hidden_states[state].mean(1).T, atol=1e-5)  # float32
    np.testing.assert_allclose(features[4], output.last_hidden_state.mean(1).T, atol=1e-5)


def test_the_last_state_may_be_taken_before_the_norm(tiny_folder: Path, film: Path) -> None:
    normed = encode(film, encoders(tiny_folder, Options(setting="all")))
    raw = encode(film, encoders(tiny_folder, Options(setting="all", normed_last_state=False)))
    np.testing.assert_array_equal(raw[:4], normed[:4])
    assert np.abs(raw[4] - normed[4]).max() > 0.1


def test_a_film_of_one_frame_has_features(tmp_path: Path, tiny: Encoders, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4", np.zeros((1, 32, 32, 3), np.uint8))
    features = encode(film, tiny)
    assert features.shape == (2, 64, 1)
    assert np.isfinite(features).all()


def test_brightness_survives_to_the_features(film: Path, tiny: Encoders) -> None:
    features = encode(film, tiny).reshape(128, 12)
    r = np.corrcoef(np.vstack([np.arange(12), features]))[0, 1:]
    assert np.mean(np.abs(r) > 0.9) > 0.5


def test_an_encoder_that_is_no_vjepa2_is_refused(tiny_folder: Path, tmp_path: Path, film: Path) -> None:
    (tmp_path / "video").symlink_to(tiny_folder / "audio")
    with pytest.raises(FeatureError, match="expected V-JEPA2"):
        encode(film, encoders(tmp_path))

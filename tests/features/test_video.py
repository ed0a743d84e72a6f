"""Pictures to features."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from transformers import AutoModel

from tribetune.errors import FeatureError, StimulusError
from tribetune.features.clips import Preparation, clip_frames, cut_clips, hold_last
from tribetune.features.encoders import Encoders, Options, encoders
from tribetune.features.video import encode_video, film_clips
from tribetune.stimulus.media import count_frames, frames, probe

CPU = torch.device("cpu")
PLAIN = Preparation(shortest=8, crop=(8, 8), mean=(0, 0, 0), std=(1, 1, 1), full_range=255)


def encode(path: Path, chosen: Encoders) -> np.ndarray:
    return np.moveaxis(np.concatenate(list(encode_video(path, chosen["video"], CPU))), 0, -1)


def joined(path: Path, clips: np.ndarray, preparation: Preparation, at_once: int = 8) -> torch.Tensor:
    return torch.cat([batch.clone() for batch in cut_clips(path, clips, preparation, at_once, CPU)])


def normalised(small: torch.Tensor, preparation: Preparation) -> torch.Tensor:
    shift, scale = preparation.colours(CPU)
    return (small.float() - shift) / scale


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory, write_film: Callable[..., Path]) -> Path:
    """Ten seconds of which no two frames are alike, of a length that is no multiple of half a second."""
    pixels = np.random.default_rng(0).integers(0, 255, (102, 40, 64, 3), dtype=np.uint8)
    return write_film(tmp_path_factory.mktemp("noise") / "noise.mp4", pixels)


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


def test_a_stretch_of_film_begins_with_its_own_first_frame() -> None:
    stretch = clip_frames(30.0, fps=25, n_frames=8, onset_s=30.0)
    assert stretch[0].tolist() == [750] * 7 + [762]
    np.testing.assert_array_equal(stretch, 750 + clip_frames(30.0, fps=25, n_frames=8))


def test_past_the_films_end_the_frame_asked_for_before_is_shown() -> None:
    clips = np.array([[3, 5, 7], [5, 7, 9], [8, 9, 10], [9, 10, 11], [12, 13, 14]])
    held = hold_last(clips, n_shown=10)
    assert held.tolist() == [[3, 5, 7], [5, 7, 9], [8, 9, 9], [9, 9, 9], [9, 9, 9]]
    assert hold_last(clips, n_shown=9).tolist()[1:3] == [[5, 7, 7], [8, 8, 8]]


def test_every_clip_gets_its_frames_from_one_pass(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    shades = np.arange(30) * 8
    film = write_film(
        tmp_path / "film.mp4", np.broadcast_to(shades[:, None, None, None], (30, 16, 24, 3)).astype(np.uint8)
    )
    schedule = clip_frames(3.0, fps=10, n_frames=8)
    # Frame 30 does not exist: the frame asked for just before, 25, is shown again (as the reference does).
    assert schedule[-1].tolist()[-2:] == [25, 30]
    clips = joined(film, hold_last(schedule, count_frames(film)), PLAIN)
    assert clips.shape == (6, 8, 3, 8, 8)
    shown = np.round(clips.mean((2, 3, 4)).numpy() * 255 / 8).astype(int)
    np.testing.assert_array_equal(shown[:-1], schedule[:-1])
    assert shown[-1].tolist()[-2:] == [25, 25]


@pytest.mark.parametrize("at_once", [1, 3, 8, 100])
@pytest.mark.parametrize("start", [0, 8])
def test_clips_equal_those_whose_frames_are_prepared_one_by_one(noise: Path, at_once: int, start: int) -> None:
    preparation = Preparation.of({"crop_size": 32, "size": {"shortest_edge": 36}})
    clips = hold_last(clip_frames(probe(noise).duration_s, 10, 16), count_frames(noise))[start:]
    slowly = {
        number: normalised(preparation.resized(frame), preparation) for number, frame in frames(noise, range(102))
    }
    expected = torch.stack([torch.stack([slowly[number] for number in clip]) for clip in clips.tolist()])
    torch.testing.assert_close(joined(noise, clips, preparation, at_once), expected, rtol=0, atol=0)


def test_a_pass_that_goes_on_equals_an_unbroken_one_bit_by_bit(noise: Path, tiny_folder: Path) -> None:
    for options in (Options(), Options(reference=True, chunk_s=(4.0, 2.0))):
        chosen = encoders(tiny_folder, replace(options, frames=64))["video"]
        blocks = list(encode_video(noise, chosen, CPU))
        ends = np.cumsum([0, *map(len, blocks)]).tolist()
        assert ends == [0, 8, 16, 20]
        for place, start in enumerate(ends):
            again = list(encode_video(noise, chosen, CPU, start))
            assert len(again) == len(blocks) - place
            for ours, theirs in zip(again, blocks[place:], strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_in_reference_mode_time_starts_again_in_every_chunk(noise: Path, tiny_folder: Path) -> None:
    options = Options(frames=8, reference=True, chunk_s=(4.0, 2.0))
    clips = film_clips(noise, encoders(tiny_folder, options)["video"])
    assert len(clips) == 20
    assert clips[7].tolist() == [5, 10, 15, 20, 25, 30, 35, 40]
    assert clips[8].tolist() == [40] * 7 + [45]  # the first four seconds repeat the chunk's first frame
    assert clips[15].tolist() == [45, 50, 55, 60, 65, 70, 75, 80]
    assert clips[16].tolist() == [80] * 7 + [85]
    whole = film_clips(noise, encoders(tiny_folder, replace(options, reference=False))["video"])
    assert whole[8].tolist() == [10, 15, 20, 25, 30, 35, 40, 45]


def test_a_picture_that_ends_before_its_sound_stands_and_the_log_says_so(
    tmp_path: Path, tiny: Encoders, write_film: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    film = write_film(tmp_path / "film.mp4", np.zeros((20, 32, 32, 3), np.uint8), np.zeros(8 * 16000))
    with caplog.at_level("INFO", "tribetune"):
        clips = film_clips(film, tiny["video"])
    assert len(clips) == 16
    assert (clips[12:] == 17).all()
    assert [record.message for record in caplog.records] == [
        "film.mp4: the picture ends at 2.0 of 8.1 s; what was shown last stands from there on"
    ]


def test_a_film_that_was_cut_off_is_refused_at_once(tmp_path: Path, tiny: Encoders, noise: Path) -> None:
    film = tmp_path / "film.mp4"
    with av.open(str(noise)) as source, av.open(str(film), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 2])
    with pytest.raises(StimulusError, match=r"film\.mp4: the file breaks off at [45]\.\d s, expected 10\.2 s"):
        next(encode_video(film, tiny["video"], CPU))


@pytest.mark.parametrize("shape", [(90, 160, 3), (160, 90, 3), (48, 48, 3), (20, 333, 3)])
def test_frames_are_resized_to_their_shorter_edge_and_cropped_in_the_middle(shape: tuple[int, int, int]) -> None:
    preparation = Preparation.of({"crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 36}})
    grey = np.full(shape, 77, np.uint8)
    grey[:, : shape[1] // 2, 0] = 0
    small = preparation.resized(grey)
    assert small.shape == (3, 32, 32)
    assert small.dtype == torch.uint8
    assert (small[1:] == 77).all()
    assert small[0, :, :14].max() == 0
    assert small[0, :, 18:].min() == 77


def test_colours_are_normalised_as_imagenet() -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 4, 4)
    black, white = normalised(pixels, Preparation.of({}))
    torch.testing.assert_close(black[:, 0, 0], torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))
    torch.testing.assert_close(white[:, 0, 0], torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_pooling_in_hooks_equals_the_mean_of_stacked_states(tiny_folder: Path, film: Path) -> None:
    chosen = encoders(tiny_folder, Options(setting="all"))
    features = encode(film, chosen)
    preparation = Preparation.of(chosen["video"].preprocessor)
    clips = joined(film, film_clips(film, chosen["video"]), preparation)
    model = AutoModel.from_pretrained(tiny_folder / "video").eval()
    with torch.inference_mode():
        output = model(clips, output_hidden_states=True)  # with its predictor
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

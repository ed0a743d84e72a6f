"""The moving picture of a film."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.media import count_frames, frames, probe

TONE = 0.3 * np.sin(np.arange(6 * 16000) / 10)[None]
COLOURS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [240, 240, 240]]], np.uint8)


def greys(n: int, height: int = 16, width: int = 32) -> np.ndarray:
    """Frame k is grey 8 k."""
    shades = 8 * np.arange(n, dtype=np.uint8)
    return np.broadcast_to(shades[:, None, None, None], (n, height, width, 3))


def shown(film: Path, n: int, fps: float | None = None) -> list[int]:
    """Which of such frames is delivered for each number; with a variable rate, at each k / fps seconds."""
    step = 1 if fps is None else round(probe(film).fps / fps)
    delivered = dict(frames(film, range(0, step * n, step)))
    assert list(delivered) == list(range(0, step * len(delivered), step))
    return [round(frame.mean() / 8) for frame in delivered.values()]


def four_colours(height: int = 48, width: int = 64) -> np.ndarray:
    """One colour per quarter."""
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 2 // width
    return COLOURS[rows[:, None], columns]


def quarters(picture: np.ndarray) -> np.ndarray:
    """The colours in the middle of the quarters."""
    height, width = picture.shape[:2]
    return picture[np.ix_([height // 4, 3 * height // 4], [width // 4, 3 * width // 4])].astype(int)


def test_with_a_variable_rate_the_frame_shown_at_that_time_is_delivered(
    tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    places = [0, 1, 2, 3, 10, 11, 12, 13, 14, 15]  # tenths of a second; the frame at 0.3 s stays until 1 s
    film = write_film(tmp_path / "film.mp4", places=places)
    with av.open(str(film)) as container:
        assert container.streams.video[0].average_rate < 7  # counting at this rate would leave frames out
    assert shown(film, 16, fps=10) == [0, 1, 2, *[3] * 7, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_slides_stand_until_the_next_one(tmp_path: Path, write_media: Callable[..., Path], suffix: str) -> None:
    slides = greys(4)[[0, 1, 2, 2]]  # the last frame is given no duration, so the last slide is written twice
    film = write_media(tmp_path / f"film.{suffix}", {"pixels": slides, "places": [0, 7, 13, 40]})
    assert shown(film, 40, fps=10) == [0] * 7 + [1] * 6 + [2] * 27


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_film_that_starts_late_in_its_own_count_begins_with_its_first_frame(
    tmp_path: Path, write_media: Callable[..., Path], suffix: str
) -> None:
    picture = {"pixels": greys(20), "places": range(20, 40), "pix_fmt": "yuv420p"}
    film = write_media(tmp_path / f"film.{suffix}", picture, {"samples": TONE[:, :24000], "first_s": 2.2})
    with av.open(str(film)) as container:
        assert container.start_time > 1.9e6
    assert shown(film, 20) == list(range(20))


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([0, 1, -1, 0], np.rot90(COLOURS, -1)),  # the phone was held upright: turn clockwise
        ([-1, 0, 0, -1], np.rot90(COLOURS, 2)),
        ([0, -1, 1, 0], np.rot90(COLOURS, 1)),
        ([-1, 0, 0, 1], COLOURS[:, ::-1]),  # a mirror image
        ([0, 1, 1, 0], COLOURS.swapaxes(0, 1)),
        ([1, 0, 0, 1], COLOURS),
    ],
)
def test_a_turned_film_is_delivered_upright(
    tmp_path: Path,
    write_media: Callable[..., Path],
    turn_film: Callable[..., Path],
    matrix: list[int],
    expected: np.ndarray,
) -> None:
    film = write_media(tmp_path / "film.mp4", {"pixels": four_colours()[None]})
    ((_, picture),) = frames(turn_film(film, tmp_path / "turned.mp4", matrix), [0])
    assert picture.shape == ((48, 64, 3) if matrix[0] else (64, 48, 3))
    np.testing.assert_allclose(quarters(picture), expected, atol=4)  # limited-range YUV and back


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv420p", "mp4"),
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv420p10le", "mp4"),
        ("libx264", "yuv444p10le", "mkv"),
        ("mpeg4", "yuv420p", "avi"),
        ("mjpeg", "yuvj420p", "mov"),
        ("ffv1", "bgr0", "mkv"),
        ("libvpx-vp9", "yuv420p", "webm"),
        ("wmv2", "yuv420p", "wmv"),
    ],
)
def test_colours_survive_every_way_of_storing_them(
    tmp_path: Path, write_media: Callable[..., Path], codec: str, pix_fmt: str, suffix: str
) -> None:
    pixels = np.broadcast_to(four_colours(), (10, 48, 64, 3))
    film = write_media(tmp_path / f"film.{suffix}", {"pixels": pixels, "codec": codec, "pix_fmt": pix_fmt})
    delivered = list(frames(film, range(100)))
    assert len(delivered) == count_frames(film) == 10
    for _, picture in delivered:
        np.testing.assert_allclose(quarters(picture), COLOURS, atol=5)  # lossy codecs among them


@pytest.mark.parametrize(("pix_fmt", "size"), [("yuv420p", (33, 35)), ("yuv420p10le", (48, 64)), ("yuv420p", (48, 64))])
def test_colours_are_converted_as_ffmpeg_itself_does(
    tmp_path: Path, write_media: Callable[..., Path], pix_fmt: str, size: tuple[int, int]
) -> None:
    blocks = np.random.default_rng(0).integers(0, 255, (1, 9, 12, 3), dtype=np.uint8)
    pixels = np.kron(blocks, np.ones((1, 6, 6, 1), np.uint8))[:, : size[0], : size[1]]
    film = write_media(tmp_path / "film.mkv", {"pixels": pixels, "codec": "ffv1", "pix_fmt": pix_fmt})
    ((_, picture),) = frames(film, [0])
    np.testing.assert_array_equal(picture, filtered(film))


def filtered(film: Path) -> np.ndarray:
    """The first frame, converted by ffmpeg's filters as its command line would."""
    with av.open(str(film)) as container:
        frame = next(container.decode(video=0))
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    convert, sink = graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")
    source.link_to(convert)
    convert.link_to(sink)
    graph.configure()
    graph.push(frame)
    pulled = graph.pull()
    assert isinstance(pulled, av.VideoFrame)
    return pulled.to_ndarray()


def test_a_film_of_one_frame_shows_it(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4", places=[0])
    assert probe(film).duration_s == 0.1
    assert shown(film, 100) == [0]


def test_frames_end_where_the_picture_ends_though_the_sound_goes_on(
    tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    film = write_film(tmp_path / "film.mp4", places=range(20), sound=TONE[0])
    assert probe(film).duration_s >= 6
    assert count_frames(film) == len(shown(film, 100)) == 20


def test_a_damaged_picture_is_refused_with_its_time(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4")
    content = bytearray(film.read_bytes())
    middle = content.find(b"mdat") + (len(content) - content.find(b"mdat")) // 3
    content[middle : middle + 200] = bytes(200)
    film.write_bytes(content)
    with pytest.raises(StimulusError, match=r"film\.mp4: decoding the picture failed at \d\.\d s"):
        list(frames(film, range(30)))


def test_a_picture_that_a_decoder_loses_is_refused_with_the_time_it_reaches(
    tmp_path: Path, write_media: Callable[..., Path]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (30, 16, 32, 3), dtype=np.uint8)  # no two packets are alike
    film = write_media(tmp_path / "film.webm", {"pixels": noise, "codec": "libvpx", "pix_fmt": "yuv420p"})
    with av.open(str(film)) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    content = bytearray(film.read_bytes())
    for packet in packets[15:]:
        content[content.find(packet)] &= ~0x10  # a frame of VP8 that is not to be shown
    film.write_bytes(content)
    assert len(list(frames(film, range(12)))) == 12
    with pytest.raises(StimulusError, match=r"film\.webm: .* can be decoded up to 1\.4 s only, expected 3\.0 s"):
        list(frames(film, range(30)))


def test_pictures_without_times_are_refused(tmp_path: Path, write_media: Callable[..., Path]) -> None:
    film = write_media(tmp_path / "film.h264", {"pixels": greys(30)})
    with pytest.raises(StimulusError, match=r"film\.h264: nothing in it has a time"):
        probe(film)

"""A film as a file: H.264 picture and AAC sound in mp4, and its words as a table."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from tribetune.files import write_text
from tribetune.simulate.film import Scene, plan_scenes, render
from tribetune.simulate.language import Story, tell
from tribetune.simulate.properties import Picture, measure_picture, properties
from tribetune.simulate.settings import FRAME_HEIGHT, FRAME_HZ, FRAME_WIDTH, SOUND_HZ
from tribetune.simulate.sound import Sound, synthesize

__all__ = ["make_film", "write_words"]

_AAC_SAMPLES = 1024


def make_film(path: Path, seed: int, run: int, duration_s: float) -> np.ndarray:
    """Write one film to ``path`` (mp4).

    Parameters
    ----------
    path : Path
    seed, run : int
        Which film.
    duration_s : float

    Returns
    -------
    array of shape (n_frames, n_properties)
        Its properties over time, columns as in ``PROPERTIES``, at ``FRAME_HZ``.
    """
    story = tell(seed, run, duration_s)
    sound = synthesize(seed, run, story)
    scenes = plan_scenes(seed, run, story)
    pictures = list(_shoot(path, (seed, run), scenes, sound))
    picture = Picture(np.concatenate([p.measures for p in pictures]), np.concatenate([p.area for p in pictures]))
    return properties(story, sound, scenes, picture)


def write_words(path: Path, story: Story) -> None:
    """Write a story's words as a table: onset, duration, word, its sentence and its place in the sentence."""
    lines = ["onset\tduration\tword\tsentence\tsentence_char"]
    lines += [f"{w.onset_s:.3f}\t{w.duration_s:.3f}\t{w.text}\t{w.sentence}\t{w.sentence_char}" for w in story.words]
    write_text(path, "\n".join(lines) + "\n")


def _shoot(path: Path, key: tuple[int, int], scenes: tuple[Scene, ...], sound: Sound) -> Iterator[Picture]:
    """Render scene by scene into the file and yield what each looks like; one thread, so that bytes repeat."""
    import av

    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=Fraction(FRAME_HZ), options={"preset": "superfast", "crf": "26"})
        video.width, video.height, video.pix_fmt = FRAME_WIDTH, FRAME_HEIGHT, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=SOUND_HZ, layout="mono", options={"b": "48000", "aac_coder": "fast"})
        samples, sent = sound.samples[None].astype(np.float32), 0
        for scene in scenes:
            luma, area = render(scene, _texture(key), sound.pitch_hz[scene.start : scene.stop] > 0)
            for number, frame in enumerate(_frames(luma, scene.colour), scene.start):
                picture = av.VideoFrame.from_ndarray(frame, format="yuv420p")
                picture.pts = number
                container.mux(video.encode(picture))
            last = scene is scenes[-1]
            until = samples.shape[1] if last else int(scene.stop / FRAME_HZ * SOUND_HZ)
            while sent < until and (last or sent + _AAC_SAMPLES <= until):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, sent : sent + _AAC_SAMPLES]), format="fltp", layout="mono"
                )
                block.sample_rate, block.pts = SOUND_HZ, sent
                container.mux(audio.encode(block))
                sent += block.samples
            yield measure_picture(luma, area)
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _texture(key: tuple[int, int]) -> int:
    """One number per film for its textures."""
    return key[0] * 1000 + key[1]


def _frames(luma: np.ndarray, colour: tuple[int, int]) -> Iterator[np.ndarray]:
    """Planes of one frame below each other, as PyAV takes them: luma, then chroma at half the size."""
    frame = np.empty((FRAME_HEIGHT * 3 // 2, FRAME_WIDTH), np.uint8)
    quarter = FRAME_HEIGHT // 4
    frame[FRAME_HEIGHT : FRAME_HEIGHT + quarter], frame[FRAME_HEIGHT + quarter :] = colour
    for picture in luma:
        frame[:FRAME_HEIGHT] = picture
        yield frame

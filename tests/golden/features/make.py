"""Makes this folder's stimulus and what the tiny encoders made of it in November 2026, to notice any change since.

    python tests/golden/features/make.py

Made once. Run it again only where a change of the features is meant, and say so in the changelog.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from tribetune.features.audio import encode_sound
from tribetune.features.encoders import Options, encoders
from tribetune.features.text import encode_words
from tribetune.features.video import encode_video
from tribetune.stimulus.words import read_words

HERE = Path(__file__).parent
SENTENCES = ("The queen of hearts, she made some tarts. ", "Über alles lachte der König!")


def main() -> None:
    """Write the film, its words and the golden arrays."""
    _write_film(HERE / "film.mp4")
    _write_words(HERE / "words.tsv")
    chosen, cpu = encoders("tiny", Options(setting="all")), torch.device("cpu")
    np.savez_compressed(
        HERE / "golden.npz",
        text=np.concatenate(list(encode_words(read_words(HERE / "words.tsv"), chosen["text"], cpu))),
        audio=np.concatenate(list(encode_sound(HERE / "film.mp4", chosen["audio"], cpu))),
        video=np.concatenate(list(encode_video(HERE / "film.mp4", chosen["video"], cpu))),
    )


def _write_film(path: Path) -> None:
    """7.3 s of moving waves at 24 frames per second, with a rising tone in one ear and noise in the other."""
    row, column = np.mgrid[:48, :80]
    time = np.arange(int(7.3 * 32000)) / 32000
    noise = np.random.default_rng(0).normal(0, 0.1, len(time))
    sound = np.stack([0.3 * np.sin(time * (600 + 200 * time)), noise]).astype(np.float32)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=Fraction(24), options={"crf": "23"})
        picture.width, picture.height, picture.pix_fmt = 80, 48, "yuv420p"
        track = container.add_stream("aac", rate=32000, layout="stereo")
        for k in range(int(7.3 * 24)):
            waves = [128 + 100 * np.sin(column / (5 + c) + row / 9 + k / (4 + 3 * c)) for c in range(3)]
            pixels = np.stack(waves, axis=-1).astype(np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(picture.encode(None))
        block = av.AudioFrame.from_ndarray(sound, format="fltp", layout="stereo")
        block.sample_rate = 32000
        container.mux(track.encode(block))
        container.mux(track.encode(None))


def _write_words(path: Path) -> None:
    lines, onset_s = ["onset\tduration\tword\tsentence"], 0.2
    for sentence in SENTENCES:
        for word in sentence.split():
            lines.append(f"{onset_s:.2f}\t0.3\t{word.strip(',.!')}\t{sentence}")
            onset_s += 0.5
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

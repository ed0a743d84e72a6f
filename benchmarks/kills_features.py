"""`features extract` killed at random moments and started again: the same store as of an unbroken run, byte for byte.

Use: ``python benchmarks/kills_features.py [--kills 20] [--seed 33]``
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from tribetune.files import hash_file

FILM_S = 200
"""More than three minutes: several stretches of sound, many of pictures and words."""

POLL_S = 0.002
FPS, HZ = 4, 16000


@dataclass(frozen=True)
class Outcome:
    """What a campaign found.

    Attributes
    ----------
    kills : int
        Runs that were killed and started again.
    with_parts : int
        Of those, how many had finished some rows of an array that they had not finished.
    same : int
        Of those, how many ended with the bytes of the unbroken run, and no other file.
    steps : int
        Files that come into the store in an unbroken run, most of them to go again; each kill waits for one of them.
    """

    kills: int
    with_parts: int
    same: int
    steps: int


def main() -> None:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=33)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        print(campaign(given.kills, given.seed, Path(scratch)))


def campaign(n: int, seed: int, folder: Path) -> Outcome:
    """Kill ``n`` extractions, each when as many files have come into its store as a draw says, and start them again.

    Parameters
    ----------
    n : int
    seed : int
        Of the moments.
    folder : Path
        For the film and the stores.
    """
    film, moments = write_film(folder), random.Random(seed)
    steps, _ = run(film, folder / "unbroken")
    wanted = bytes_of(folder / "unbroken")
    kills, with_parts, same = 0, 0, 0
    while kills < n:
        store = folder / f"killed-{kills}"
        if not run(film, store, kill_at=moments.randint(1, steps - 1))[1]:
            shutil.rmtree(store)  # it was over before; another moment is drawn
            continue
        kills += 1
        with_parts += any(store.rglob("*.npy"))
        run(film, store)
        same += bytes_of(store) == wanted
    return Outcome(kills, with_parts, same, steps)


def run(film: Path, store: Path, kill_at: int | None = None) -> tuple[int, bool]:
    """Extract with the tiny encoders, and kill -9 once this many files have come into the store.

    Returns
    -------
    int, bool
        Files that were seen to come, and whether the run was killed.
    """
    command = [sys.executable, "-m", "tribetune", "features", "extract", str(film), "--store", str(store)]
    process = subprocess.Popen(
        [*command, "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    seen: set[str] = set()
    while process.poll() is None:
        seen |= files_in(store)
        if kill_at is not None and len(seen) >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return len(seen), True
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue
    said = process.communicate()[1].decode()
    if process.returncode != 0:
        raise RuntimeError(f"the extraction ended with {process.returncode}: {said[-1000:]}")
    return len(seen | files_in(store)), False


def files_in(store: Path) -> set[str]:
    """Names of all files of a store, those under way among them; folders may vanish while one looks."""
    return {f"{root}/{name}" for root, _, names in os.walk(store) for name in names}


def bytes_of(store: Path) -> dict[str, str]:
    """Every file of a store and its hash."""
    return {str(path.relative_to(store)): hash_file(path) for path in sorted(store.rglob("*")) if path.is_file()}


def write_film(folder: Path) -> Path:
    """A film of drifting noise with a wandering tone, and a word every half second beside it."""
    import av

    rng = np.random.default_rng(0)
    path = folder / "film.mp4"
    folder.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(FILM_S * HZ) / HZ
    tone = (0.3 * np.sin(2 * np.pi * (300 + 100 * np.sin(seconds / 7)) * seconds)).astype(np.float32)
    still = rng.integers(0, 255, (48, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "30", "preset": "ultrafast"})
        picture.height, picture.width, picture.pix_fmt = 48, 64, "yuv420p"
        track = container.add_stream("aac", rate=HZ, layout="mono")
        for shift in range(FILM_S * FPS):
            pixels = np.ascontiguousarray(np.roll(still, shift, 1))
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(picture.encode(None))
        block = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        block.sample_rate = HZ
        container.mux(track.encode(block))
        container.mux(track.encode(None))
    words = [f"{at / 2:g}\t0.3\tword{rng.integers(50)}" for at in range(2 * FILM_S)]
    (folder / "film_words.tsv").write_text("onset\tduration\tword\n" + "\n".join(words) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()

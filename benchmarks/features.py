"""Extraction against the reference's procedure (spec e, g), with the same encoders, in the same run.

``text``          1,000 words, all within 1,024 words of context: every word's context run by itself, against one causal
                  pass
``text_long``     3,000 words: the same, against blocks of 128 words
``video_decode``  a minute of 640 × 360 at 30 fps decoded, resized and cropped into clips of 64 frames: a seek per clip
                  and every frame of every clip prepared anew, against one pass
``clip``          sound and picture of ``sintel_a.mp4`` by the tiny encoders, from the file to features

Ratios are of CPU seconds of one thread, which is the work that there is: more threads on a busy machine spend CPU time
on waiting for each other. Wall seconds are printed beside them. Peak memory is that of a fresh process that extracts a
film of 10 and of 60 minutes.

    python benchmarks/features.py [--json] [--only text] [--all-words] [--data FOLDER]
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch.nn import functional

from tribetune.features.audio import ENCODER_HZ, prepare_sound
from tribetune.features.chunks import chunk_spans
from tribetune.features.clips import Preparation, clip_frames, cut_clips, hold_last
from tribetune.features.encoders import Encoder, Encoders, Options, encoders
from tribetune.features.reference_text import reference_words
from tribetune.features.text import encode_words
from tribetune.features.tiny import make_tiny_encoders
from tribetune.features.vocabulary import tokenizer_json
from tribetune.stimulus.event import Event
from tribetune.stimulus.media import count_frames, probe, sound
from tribetune.timing import to_step

CPU = torch.device("cpu")
EVERY_NTH_BATCH = 20
"""Of the reference's batches of four words, so many are left out between two that are run; ``--all-words`` runs all."""


@dataclass(frozen=True)
class Spent:
    """CPU and wall seconds."""

    cpu: float
    wall: float

    def __mul__(self, by: float) -> "Spent":
        return Spent(self.cpu * by, self.wall * by)


Result = tuple[Spent, Spent, float]
"""The reference's procedure, ours, and by how much their features differ at most."""


def spent(work: Callable[[], object]) -> Spent:
    """Seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


# --- text -----------------------------------------------------------------------------------------------------------


def story(n_words: int) -> list[Event]:
    """Sentences of common words, three words a second."""
    order = random.Random(0)
    known = [token[1:] for token in tokenizer_json()["model"]["vocab"] if token[1:].isascii() and len(token) > 3]
    words: list[Event] = []
    while len(words) < n_words:
        texts = [order.choice(known) for _ in range(order.randint(5, 20))]
        sentence = " ".join(texts).capitalize() + ". "
        place = 0
        for text in texts:
            words.append(Event("word", len(words) / 3, 0.3, None, sentence[place : place + len(text)], sentence, place))
            place += len(text) + 1
    return words[:n_words]


def story_encoder(folder: Path) -> Encoder:
    """A Llama of 4 layers and 256 dimensions with random weights, which change no operation count."""
    from transformers import LlamaConfig, LlamaModel

    tiny = make_tiny_encoders(folder / "tiny") / "text"
    target = folder / "story/text"
    vocab = len(json.loads((tiny / "tokenizer.json").read_text())["model"]["vocab"])
    torch.manual_seed(0)
    LlamaModel(
        LlamaConfig(
            vocab_size=vocab,
            hidden_size=256,
            intermediate_size=1024,
            num_hidden_layers=4,
            num_attention_heads=8,
            num_key_value_heads=4,
            max_position_embeddings=131072,
        )
    ).save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (target / name).write_bytes((tiny / name).read_bytes())
    return encoders(folder / "story")["text"]


def text(folder: Path, n_words: int, every: int) -> Result:
    """Reference and ours, and the largest difference over the words that both must have the same context for."""
    encoder, words = story_encoder(folder), story(n_words)
    batches = [range(k, min(k + 4, n_words)) for k in range(0, n_words, 4)]
    chosen = batches[every // 2 :: every] or batches[:1]
    vectors: dict[int, np.ndarray] = {}
    model = encoder.load(CPU)
    reference_words(words, encoder, model, range(4))  # what Python imports at first use is nobody's cost
    list(encode_words(words[:4], encoder, CPU))

    def theirs() -> None:
        flat = [place for batch in chosen for place in batch]
        vectors.update(zip(flat, reference_words(words, encoder, model, flat), strict=True))

    ours: list[np.ndarray] = []
    fast = spent(lambda: ours.extend(encode_words(words, encoder, CPU)))
    slow = spent(theirs) * (n_words / sum(len(batch) for batch in chosen))
    within = [k for k in vectors if k <= encoder.options.context_words]
    together = np.concatenate(ours)
    return slow, fast, max(float(np.abs(together[k] - vectors[k]).max()) for k in within)


# --- pictures -------------------------------------------------------------------------------------------------------


def write_film(
    path: Path, seconds: float, size: tuple[int, int] = (640, 360), fps: int = 30, *, tone: bool = False
) -> Path:
    """Smooth moving shapes with some grain, in h264 with default settings; with a tone where asked."""
    rng = np.random.default_rng(0)
    width, height = size
    grain = rng.integers(-8, 8, (8, height, width, 1), dtype=np.int16)
    row, column = np.mgrid[:height, :width].astype(np.float32)
    with av.open(str(path), "w") as container:
        preset = "ultrafast" if tone else "medium"
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"preset": preset})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        track = container.add_stream("aac", rate=16000, layout="mono") if tone else None
        for k in range(int(seconds * fps)):
            waves = [np.sin(column / 40 + k / (9 + 4 * c)) * np.cos(row / 30 - k / (7 + 5 * c)) for c in range(3)]
            picture = (127 + 100 * np.stack(waves, axis=-1)).astype(np.int16) + grain[k % 8]
            frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            for second in range(int(seconds)):
                wave = np.sin(np.arange(16000) * (0.1 + 0.01 * (second % 7))).astype(np.float32)[None] / 4
                block = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                block.sample_rate, block.pts = 16000, second * 16000
                container.mux(track.encode(block))
            container.mux(track.encode(None))
    return path


def sought_frames(path: Path, numbers: Sequence[int], fps: float) -> list[np.ndarray]:
    """Frames of one clip as the reference's reader gets them.

    To jump back it opens the file anew and seeks; from then on it converts every frame.
    """
    pictures: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        start_s, base = (container.start_time or 0) / 1e6, float(stream.time_base or 1)
        container.seek(int((numbers[0] / fps + start_s) / base), stream=stream)
        wanted, place = list(numbers), 0
        for frame in container.decode(stream):
            shown = round(((frame.time or 0.0) - start_s) * fps)
            if shown < wanted[0]:
                continue
            picture = frame.to_ndarray(format="rgb24")
            while place < len(wanted) and wanted[place] <= shown:
                pictures.append(picture)
                place += 1
            if place == len(wanted):
                break
    return pictures + pictures[-1:] * (len(wanted) - len(pictures))


def prepared(pictures: Sequence[np.ndarray], how: Preparation) -> torch.Tensor:
    """Every frame of a clip resized, cropped and normalised as by the reference's processor: (1, n, 3, row, col)."""
    clip = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    height, width = clip.shape[2:]
    short = min(height, width)
    size = [how.shortest if n == short else int(how.shortest * n / short) for n in (height, width)]
    clip = functional.interpolate(clip, size, mode="bilinear", antialias=True, align_corners=False)
    top, left = ((n - c) // 2 for n, c in zip(size, how.crop, strict=True))
    clip = clip[:, :, top : top + how.crop[0], left : left + how.crop[1]]
    mean, std = (torch.tensor(values)[:, None, None] for values in (how.mean, how.std))
    return ((clip.float() - mean * how.full_range) / (std * how.full_range))[None]


def reference_clips(path: Path, n_frames: int, how: Preparation) -> Iterator[torch.Tensor]:
    """Clip by clip, each decoded and prepared anew."""
    media = probe(path)
    for numbers in clip_frames(media.duration_s, media.fps, n_frames).tolist():
        yield prepared(sought_frames(path, numbers, media.fps), how)


def video_decode(folder: Path) -> Result:
    """A minute of film into clips of 64 frames of 256 pixels, no encoder."""
    path = write_film(folder / "film.mp4", 60.0)
    how = Preparation.of({"crop_size": 256})
    kept: list[torch.Tensor] = []

    def theirs() -> None:
        for step, clip in enumerate(reference_clips(path, 64, how)):
            if step % 40 == 20:
                kept.append(clip[0])

    differences: list[float] = []

    def ours() -> None:
        for step, clip in enumerate(our_clips(path, how)):
            if step % 40 == 20:
                differences.append(float((clip - kept[len(differences)]).abs().max()))

    slow = spent(theirs)
    return slow, spent(ours), max(differences)


def our_clips(path: Path, how: Preparation) -> Iterator[torch.Tensor]:
    """What `encode_video` hands to the encoder, clip by clip."""
    media = probe(path)
    numbers = hold_last(clip_frames(media.duration_s, media.fps, 64), count_frames(path))
    for batch in cut_clips(path, numbers, how, 8, CPU):
        yield from batch


# --- a whole clip ---------------------------------------------------------------------------------------------------


@torch.inference_mode()
def reference_video(path: Path, encoder: Encoder) -> np.ndarray:
    """One clip at a time through encoder and predictor, all states kept and stacked (spec g.3 to g.6)."""
    model = encoder.load(CPU)
    how = Preparation.of(encoder.preprocessor)
    steps = []
    for clip in reference_clips(path, encoder.frames, how):
        output = model(pixel_values_videos=clip, output_hidden_states=True)
        hidden = [*output.hidden_states[:-1], output.last_hidden_state]
        states = torch.stack([state[0] for state in hidden]).mean(1)
        steps.append(torch.stack([states[list(group)].mean(0) for group in encoder.groups]))
    return torch.stack(steps).numpy()


@torch.inference_mode()
def reference_audio(path: Path, encoder: Encoder) -> np.ndarray:
    """One chunk at a time, all states stacked before the pick at 2 Hz."""
    from transformers import SeamlessM4TFeatureExtractor

    spectrogram, model = SeamlessM4TFeatureExtractor.from_pretrained(encoder.folder), encoder.load(CPU)
    media, parts = probe(path), []
    for samples in sound(path, chunk_spans(media.duration_s, *encoder.options.chunk_s)):
        steps = max(1, to_step(samples.shape[1] / media.sample_hz))
        bands = spectrogram(prepare_sound(samples, media.sample_hz), sampling_rate=ENCODER_HZ, return_tensors="pt")
        states = torch.cat(model(bands["input_features"], output_hidden_states=True).hidden_states)
        picked = functional.interpolate(states.mT, steps)
        parts.append(torch.stack([picked[list(group)].mean(0) for group in encoder.groups]).permute(2, 0, 1))
    return torch.cat(parts).numpy()


def clip(folder: Path, film: Path) -> Result:
    """Sound and picture of one real clip by the tiny encoders; ours goes through the store, as a user's does."""
    from tribetune.features.extract import extract
    from tribetune.stimulus.timeline import timeline_of_files

    chosen: Encoders = encoders(make_tiny_encoders(folder / "tiny"), Options())
    made: dict[str, np.ndarray] = {}
    for modality in ("audio", "video"):
        chosen[modality].load(CPU)  # what Python imports at first use is nobody's cost

    def theirs() -> None:
        made["video"] = reference_video(film, chosen["video"])
        made["audio"] = reference_audio(film, chosen["audio"])

    arrays: dict[str, np.ndarray] = {}

    def ours() -> None:
        features = extract(timeline_of_files([film]), chosen, ("audio", "video"), folder / "store", "cpu")
        arrays.update({name: np.asarray(array) for name, array in features.arrays.items()})

    slow, fast = spent(theirs), spent(ours)
    found = {name: np.moveaxis(arrays[name], -1, 0)[: len(steps)] for name, steps in made.items()}
    difference = max(float(np.abs(made[name] - found[name]).max()) for name in made)
    return slow, fast, difference


# --- memory ---------------------------------------------------------------------------------------------------------

_EXTRACT = """
import sys
from pathlib import Path
from tribetune.features.encoders import encoders
from tribetune.features.extract import extract
from tribetune.stimulus.timeline import timeline_of_files
film, tiny, store = map(Path, sys.argv[1:])
extract(timeline_of_files([film]), encoders(tiny), ("audio", "video"), store, "cpu")
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6)
"""


def peaks(folder: Path) -> dict[str, float]:
    """Gigabytes at the highest (Linux) of extracting a film of 10 and of 60 minutes, each in a fresh process."""
    tiny = make_tiny_encoders(folder / "tiny")
    found = {}
    for minutes in (10, 60):
        film = write_film(folder / f"{minutes}.mp4", minutes * 60, (96, 64), 12, tone=True)
        command = [sys.executable, "-c", _EXTRACT, str(film), str(tiny), str(folder / f"store{minutes}")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[f"{minutes} minutes"] = float(said.split()[-1])
    return found


# --- report ---------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure, print the table, and with ``--json`` the ratios as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("text", "text_long", "video_decode", "clip", "memory"), action="append")
    parser.add_argument("--all-words", action="store_true", help="run every word of the reference, not one batch in 20")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TRIBETUNE_DATA", "../shared/data")))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="features-") as scratch:
        results, memory = measured(given, Path(scratch))
    report(results, memory, as_json=given.json)


def measured(given: argparse.Namespace, scratch: Path) -> tuple[dict[str, Result], dict[str, float]]:
    """Everything that was asked for; what needs a file that is not there is left out and said."""
    every = 1 if given.all_words else EVERY_NTH_BATCH
    film = given.data / "media/sintel_a.mp4"
    work: dict[str, Callable[[Path], Result]] = {
        "text": lambda folder: text(folder, 1000, every),
        "text_long": lambda folder: text(folder, 3000, every),
        "video_decode": video_decode,
        "clip": lambda folder: clip(folder, film),
    }
    asked = given.only or [*work, "memory"]
    if "clip" in asked and not film.is_file():
        print(f"clip: left out, no {film.name} in --data", file=sys.stderr)
        asked = [name for name in asked if name != "clip"]
    results = {}
    for name in asked:
        folder = scratch / name
        folder.mkdir()
        if name != "memory":
            results[name] = work[name](folder)
            print(f"{name} done", file=sys.stderr, flush=True)
    return results, peaks(scratch / "memory") if "memory" in asked else {}


def report(results: dict[str, Result], memory: dict[str, float], *, as_json: bool) -> None:
    """Print the table; as JSON the ratios and gigabytes."""
    print(f"{torch.get_num_threads()} threads; seconds are CPU seconds (wall seconds)")
    for name, (slow, fast, difference) in results.items():
        print(
            f"  {name:<13} reference {slow.cpu:8.1f} ({slow.wall:8.1f})   ours {fast.cpu:6.2f} ({fast.wall:6.2f})"
            f"   {slow.cpu / fast.cpu:6.1f} x   differ by at most {difference:.1e}"
        )
    for name, value in memory.items():
        print(f"  peak, a film of {name}: {value:.3f} GB")
    if as_json:
        ratios = {name: round(slow.cpu / fast.cpu, 2) for name, (slow, fast, _) in results.items()}
        print(json.dumps({"ratios": ratios, "peak_gb": {name: round(value, 3) for name, value in memory.items()}}))


if __name__ == "__main__":
    main()

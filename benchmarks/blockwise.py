"""How close block contexts come to every word's own, judged by a small language model with trained weights.

A Llama of 4 layers and 256 dimensions is trained for 250 steps on the first nine tenths of the manual that ships with
Python (``pydoc_data.topics``, English prose); the last tenth is the story. Random weights cannot judge this: they
attend to everything alike.

    python benchmarks/blockwise.py [--steps 250] [--words 3000] [--sampled 150]
"""

import argparse
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tribetune.features.encoders import Encoder, Options, encoders
from tribetune.features.text import encode_words
from tribetune.features.tiny import make_tiny_encoders
from tribetune.stimulus.event import Event

STRIDES = (512, 128, 32)
LENGTH, BATCH = 2048, 2
CPU = torch.device("cpu")


def manual() -> tuple[str, list[str]]:
    """Text to train on, and the words of the story, which the model never saw."""
    from pydoc_data.topics import topics

    prose = " ".join(re.sub(r"[^A-Za-z0-9 .,;:!?()'-]+", " ", text) for _, text in sorted(topics.items()))
    words = prose.split()
    first = len(words) * 9 // 10
    return " ".join(words[:first]), words[first:]


def trained(folder: Path, steps: int) -> tuple[Path, list[float]]:
    """Train the model; returns the encoders' folder and the losses."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tiny = make_tiny_encoders(folder / "tiny") / "text"
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny)
    ids = torch.tensor(tokenizer(manual()[0], add_special_tokens=False, verbose=False)["input_ids"])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=131072,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps)
    losses = []
    for _ in range(steps):
        starts = torch.randint(len(ids) - LENGTH, (BATCH,))
        batch = torch.stack([ids[start : start + LENGTH] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    target = folder / "trained/text"
    model.model.save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (target / name).write_bytes((tiny / name).read_bytes())
    return folder / "trained", losses


def vectors(encoder: Encoder, words: Sequence[Event]) -> np.ndarray:
    """Features of every word."""
    return np.concatenate(list(encode_words(words, encoder, CPU)))


def exact(encoder: Encoder, words: Sequence[Event], chosen: Sequence[int]) -> np.ndarray:
    """Features of some words past the first context, each with the context that is its own."""
    context = encoder.options.context_words
    own = [vectors(encoder, words[place - context : place + 1])[-1] for place in chosen]
    return np.stack(own)


def agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlation over dimensions, per word and layer, of vectors whose mean over words was taken out."""
    one, other = one - other.mean(0), other - other.mean(0)
    top = (one * other).sum(-1)
    return top / np.sqrt((one**2).sum(-1) * (other**2).sum(-1))


def measure(folder: Path, steps: int = 250, n_words: int = 3000, sampled: int = 150) -> list[str]:
    """Train, encode the story in blocks of several strides, and hold some words against their own contexts."""
    named, losses = trained(folder, steps)
    options = Options(setting="all")
    encoder = encoders(named, options)["text"]
    story = [Event("word", k / 3, 0.3, None, text) for k, text in enumerate(manual()[1][:n_words])]
    chosen = np.linspace(options.context_words + 1, n_words - 1, sampled).astype(int).tolist()
    truth = exact(encoder, story, chosen)
    lines = [
        f"Llama of 4 layers × 256, {steps} steps, loss {losses[0]:.2f} → {np.mean(losses[-10:]):.2f}:"
        f" {len(chosen)} of {n_words - options.context_words - 1} words past the first 1,024 of a text that it never"
        " saw. Correlation with every word's own context, mean over words taken out:",
        "",
        "| stride | mean, last state | mean, all states | least, all words and states |",
        "|---|---|---|---|",
    ]
    for stride in STRIDES:
        blocks = replace(encoder, options=replace(options, stride_words=stride))
        r = agreement(vectors(blocks, story)[chosen], truth)[:, 1:]  # state 0 knows no context
        lines.append(f"| {stride} | {r[:, -1].mean():.4f} | {r.mean():.4f} | {r.min():.4f} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--words", type=int, default=3000)
    parser.add_argument("--sampled", type=int, default=150)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="blockwise-") as scratch:
        print("\n".join(measure(Path(scratch), given.steps, given.words, given.sampled)))


if __name__ == "__main__":
    main()

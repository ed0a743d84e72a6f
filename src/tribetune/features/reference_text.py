"""Words to vectors as the reference makes them: which words, in which batches, and what counts as a word's tokens."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from jaxtyping import Float

from tribetune.features.encoders import Encoder
from tribetune.features.pieces import Pass, Piece, cut_pieces, text_of
from tribetune.features.tokens import tokeniser
from tribetune.stimulus.event import Event

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_WORDS = 4
"""Words that the reference encodes at once, each with a context of its own."""

_BLOCK_WORDS = 32
_SEED = 0


def reference_words_of(words: Sequence[Event]) -> tuple[Event, ...]:
    """Words in the reference's order, without those it drops.

    Words without a sentence are left out; of words with one onset the longer comes first, which may break their
    sentence (spec e.1, e.3).
    """
    known = [word for word in words if word.sentence]
    return tuple(sorted(known, key=lambda word: (word.onset_s, -word.duration_s)))


def reference_words(
    words: Sequence[Event], encoder: Encoder, model: "PreTrainedModel", order: Sequence[int] | None = None
) -> Float[np.ndarray, "word layer dim"]:
    """Encode words by the reference's own procedure: every word's whole context, four at a time, all states kept.

    Parameters
    ----------
    words : sequence of Event
        All words of the stimulus.
    encoder : Encoder
    model : PreTrainedModel
        The encoder, loaded.
    order : sequence of int or None
        Words (by number) that are encoded: the first four are a batch, the next four another. None: all, in order.

    Returns
    -------
    array of shape (n_words, n_layers, dim)
        float32, in the order of ``order``.

    Notes
    -----
    Source: spec e.3 and parity note 1: contexts are padded on the right, and where the tokenizer's padding is not its
    end of sequence, a word that is shorter than others of its batch counts the padding as its own tokens.
    """
    tokenizer = open_tokenizer(encoder)
    chosen = range(len(words)) if order is None else order
    pieces, rows = cut_pieces(words), []
    for first in range(0, len(chosen), BATCH_WORDS):
        batch = [_context(pieces, k, encoder.options.context_words) for k in chosen[first : first + BATCH_WORDS]]
        rows.append(_encode_batch(tokenizer, model, encoder, batch))
    return np.concatenate(rows)


def encode_padded(
    words: Sequence[Event], encoder: Encoder, device: "torch.device", start: int = 0, order: Sequence[int] | None = None
) -> Iterator[Float[np.ndarray, "word layer dim"]]:
    """Encode every word by itself, with the padding that it has in a batch of the reference.

    Parameters
    ----------
    words : sequence of Event
    encoder : Encoder
    device : torch.device
    start : int
        Words that are known already and left out.
    order : sequence of int or None
        All words (by number) in the order in which the reference batched them. It draws one anew in every run and
        records none, so its values cannot be had again; None draws one from a fixed seed.

    Yields
    ------
    array of shape (n_words, n_layers, dim)
        float32, for the next words in order.
    """
    tokenizer, model = open_tokenizer(encoder), encoder.load(device)
    chosen = np.random.default_rng(_SEED).permutation(len(words)).tolist() if order is None else list(order)
    pieces = cut_pieces(words)
    contexts = [_context(pieces, place, encoder.options.context_words) for place in range(len(words))]
    lengths = [len(_cut_left(tokenizer, [context])[0]) for context, _ in contexts]
    width = {}
    for first in range(0, len(chosen), BATCH_WORDS):
        batch = chosen[first : first + BATCH_WORDS]
        width |= dict.fromkeys(batch, max(lengths[place] for place in batch))
    for first in range(start, len(words), _BLOCK_WORDS):
        block = range(first, min(first + _BLOCK_WORDS, len(words)))
        rows = [_encode_batch(tokenizer, model, encoder, [contexts[place]], width[place]) for place in block]
        yield np.concatenate(rows)


def counts_padding(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the reference takes padding for words: it recognises only the end of sequence (parity note 1)."""
    return tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id


def open_tokenizer(encoder: Encoder) -> "PreTrainedTokenizerBase":
    """Read the encoder's tokenizer."""
    from transformers import AutoTokenizer

    return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(encoder.folder, trust_remote_code=False))


def _context(pieces: Sequence[Piece], place: int, context_words: int) -> tuple[str, str]:
    """What a word reads, and the part of that before the word."""
    text, ends = text_of(pieces, Pass(max(0, place - context_words), place, place + 1))
    return text, text[: ends[0].before]


def _cut_left(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    return [ids[-tokenizer.model_max_length :] for ids in tokeniser(tokenizer)(texts)]


def _encode_batch(
    tokenizer: "PreTrainedTokenizerBase",
    model: "PreTrainedModel",
    encoder: Encoder,
    contexts: Sequence[tuple[str, str]],
    width: int = 0,
) -> Float[np.ndarray, "word layer dim"]:
    """Encode contexts together, padded on the right to the longest or to ``width``."""
    import torch

    ids = _cut_left(tokenizer, [context for context, _ in contexts])
    n_before = [len(tokeniser(tokenizer)([before])[0]) if before else 0 for _, before in contexts]
    width = max([width, *map(len, ids)])
    padding = tokenizer.pad_token_id if counts_padding(tokenizer) else tokenizer.eos_token_id or 0
    tokens = torch.tensor([[*row, *[padding] * (width - len(row))] for row in ids], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids], device=model.device)
    with torch.inference_mode():
        output = model(input_ids=tokens, attention_mask=mask, output_hidden_states=True, use_cache=False)
        states = torch.stack([state.float().cpu() for state in output.hidden_states])
    vectors = []
    for row, (own, n_prefix) in enumerate(zip(ids, n_before, strict=True)):
        stop = width if counts_padding(tokenizer) else len(own)
        means = states[:, row, stop - max(1, stop - n_prefix) : stop].mean(1)
        vectors.append(torch.stack([means[list(group)].mean(0) for group in encoder.groups]))
    return torch.stack(vectors).numpy()

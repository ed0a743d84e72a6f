"""Words to vectors: each word's tokens in the context of the words before it (spec e.3)."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from tribetune.features.causal import Memory, remembering, span_means
from tribetune.features.encoders import Encoder
from tribetune.features.pieces import Pass, Piece, cut_pieces, plan_passes, text_of
from tribetune.features.reference_text import counts_padding, encode_padded, open_tokenizer
from tribetune.features.tokens import Beginning, Tokenise, tokenise_beginnings, tokeniser
from tribetune.stimulus.event import Event

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

BLOCK_WORDS = 128
"""Words that are read, and given back, at once: about a minute of speech."""


def encode_words(
    words: Sequence[Event], encoder: Encoder, device: "torch.device", start: int = 0
) -> Iterator[Float[np.ndarray, "word layer dim"]]:
    """Encode every word in the context of the words before it.

    Parameters
    ----------
    words : sequence of Event
        In order of time.
    encoder : Encoder
        A causal language model such as Llama or Qwen3, which reads a text once; any other works too, at the cost of
        one run per word. With the option ``reference`` every word has exactly its own context, and padding is counted
        where the reference counts it.
    device : torch.device
        Half precision (autocast) on accelerators, float32 on a CPU.
    start : int
        Words that are known already and left out: as many as the blocks before gave. What follows is the same, bit for
        bit, as in a run from the beginning.

    Yields
    ------
    array of shape (n_words, n_layers, dim)
        float32, for the next words in order, at most `BLOCK_WORDS`; in total one vector per word.

    Notes
    -----
    Source: spec e.3 and parity notes 2 to 5: no BOS, truncation on the left, mean over the word's own tokens. Unlike
    the reference, words without a sentence are kept.
    """
    tokenizer = open_tokenizer(encoder)
    if encoder.options.reference and counts_padding(tokenizer):
        yield from encode_padded(words, encoder, device, start)
        return
    tokenise = tokeniser(tokenizer)
    model = encoder.load(device)
    memory = remembering(model, encoder.groups, (tokenise(["one two three four"])[0] * 8)[:8])
    if memory is None:
        logger.warning("%s looks ahead or keeps no memory: every word's context is read anew", encoder.name)
    reader = _Reader(tokenise, tokenizer.model_max_length, model, encoder, memory)
    pieces = cut_pieces(words)
    stride_words = 1 if encoder.options.reference else encoder.options.stride_words
    for step in plan_passes(len(pieces), encoder.options.context_words, stride_words):
        if step.stop > start:
            yield from reader.read(pieces, step, start)


@dataclass(frozen=True)
class _Word:
    """A word's context, as tokens, and how many of the last ones are its own."""

    context: Beginning
    n_own: int

    @property
    def stop(self) -> int:
        return len(self.context)

    @property
    def first(self) -> int:
        return self.stop - self.n_own


@dataclass(frozen=True)
class _Reader:
    tokenise: Tokenise
    limit: int
    model: "PreTrainedModel"
    encoder: Encoder
    memory: Memory | None

    def read(self, pieces: Sequence[Piece], step: Pass, start: int) -> Iterator[Float[np.ndarray, "word layer dim"]]:
        """Encode the words of one pass in blocks, without those before ``start``, which are only read."""
        text, contexts = text_of(pieces, step)
        stops = [stop for context in contexts for stop in (context.stop, context.before)]
        ids, known = tokenise_beginnings(self.tokenise, text, stops)
        words = []
        for context in contexts:
            n_tokens = min(len(known[context.stop]), self.limit)
            words.append(_Word(known[context.stop], max(1, n_tokens - len(known[context.before]))))
        if self.memory is not None:
            self.memory.forget()
        for first in range(step.first, step.stop, BLOCK_WORDS):
            block = words[first - step.first :][:BLOCK_WORDS]
            vectors = self._block(ids, block, max(0, start - first))
            if len(vectors):
                yield vectors

    def _block(self, ids: Sequence[int], words: Sequence[_Word], n_known: int) -> Float[np.ndarray, "word layer dim"]:
        """Encode words that stand together, without the first ``n_known``, which are only read."""
        vectors = np.empty((len(words), len(self.encoder.groups), self.encoder.dim), np.float32)
        together: list[int] = []
        if self.memory is not None:
            begin = self.memory.n_read
            stop = max([begin, *(word.context.n_shared for word in words if word.stop <= self.limit)])
            fits = [w.stop <= min(self.limit, w.context.n_shared) and w.first >= begin for w in words]
            together = [place for place in range(n_known, len(words)) if fits[place]]
            spans = [(words[place].first - begin, words[place].stop - begin) for place in together]
            vectors[together] = self.memory.read(ids[begin:stop], spans)
        for place in sorted(set(range(n_known, len(words))) - set(together)):
            vectors[place] = self._alone(ids, words[place])
        return vectors[n_known:]

    def _alone(self, ids: Sequence[int], word: _Word) -> Float[np.ndarray, "layer dim"]:
        """Encode a word whose tokens depend on where its context ends, or whose context is cut on the left."""
        own = [*ids[: word.context.n_shared], *word.context.rest]
        if self.memory is not None and len(own) <= self.limit:
            n_kept = min(word.context.n_shared, word.first, self.memory.n_read)
            return self.memory.aside(n_kept, own[n_kept:], word.n_own)
        own = own[-self.limit :]  # its context is cut on the left: nothing of it is in memory
        if self.memory is not None:
            return self.memory.aside(0, own, word.n_own)
        return span_means(self.model, self.encoder.groups, own, [(len(own) - word.n_own, len(own))])[0]

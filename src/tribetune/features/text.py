"""Words to vectors: each word's tokens in the context of the words before it (spec e.3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from jaxtyping import Float

from tribetune.features.encoders import Encoder
from tribetune.features.layers import Groups, wanted_states
from tribetune.stimulus.event import Event

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Piece:
    """One word's share of the text.

    Parameters
    ----------
    head : str
        Up to the end of the word: the word, and before it the beginning of a new sentence.
    tail : str
        From the end of the word to the next one: blanks, punctuation, the rest of a finished sentence.
    word : str
    """

    head: str
    tail: str
    word: str


@dataclass(frozen=True)
class Pass:
    """Words that one run of the encoder serves: those from ``first`` to ``stop`` (excluded), read from ``start`` on."""

    start: int
    first: int
    stop: int


def cut_pieces(words: Sequence[Event]) -> list[Piece]:
    """Divide the text among its words (spec parity note 2).

    A sentence is new where its text differs from the last word's or the position does not advance. A word without a
    known sentence stands by itself, with a blank on either side.
    """
    pieces = []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else None
        previous = words[place - 1] if place else None
        end = word.sentence_char + len(word.text)
        if not word.sentence:
            pieces.append(Piece(word.text, " ", word.text))
            continue
        begin = 0 if previous is None or _is_new_sentence(previous, word) else word.sentence_char
        if following is None or not following.sentence or _is_new_sentence(word, following):
            tail = word.sentence[end:]
            if following is not None and not following.sentence and not (tail or word.text)[-1:].isspace():
                tail += " "
        else:
            tail = word.sentence[end : following.sentence_char]
        pieces.append(Piece(word.sentence[begin:end], tail, word.text))
    return pieces


def plan_passes(n_words: int, context_words: int, stride_words: int) -> list[Pass]:
    """Decide which words share a run of the encoder.

    The first ``context_words + 1`` words share one, exactly, because the encoder is causal and their contexts start
    together. Later ones share ``stride_words`` at a time the context that the first of them has (spec g.1).
    """
    served = min(n_words, context_words + 1)
    later = range(served, n_words, stride_words)
    return [Pass(0, 0, served), *(Pass(i - context_words, i, min(i + stride_words, n_words)) for i in later)]


def encode_words(
    words: Sequence[Event], encoder: Encoder, device: "torch.device"
) -> Iterator[Float[np.ndarray, "word layer dim"]]:
    """Encode every word in the context of the words before it.

    Parameters
    ----------
    words : sequence of Event
        In order of time.
    encoder : Encoder
        A causal language model; any other works too, at the cost of one run per word.
    device : torch.device

    Yields
    ------
    array of shape (n_words, n_layers, dim)
        float32, for the next words in order; in total one vector per word.

    Notes
    -----
    Source: spec e.3 and parity notes 2 to 5: no BOS, truncation on the left, mean over the word's own tokens. Unlike
    the reference, words without a sentence are kept.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder.folder, trust_remote_code=False)
    reader = _Reader.of(cast("PreTrainedTokenizerBase", tokenizer), encoder.load(device), encoder.groups)
    pieces = cut_pieces(words)
    options = encoder.options
    for step in plan_passes(len(pieces), options.context_words, options.stride_words):
        yield reader.read(pieces, step)


def _is_new_sentence(previous: Event, word: Event) -> bool:
    return previous.sentence != word.sentence or word.sentence_char <= previous.sentence_char


@dataclass(frozen=True)
class _Reader:
    tokenizer: "PreTrainedTokenizerBase"
    model: "PreTrainedModel"
    groups: Groups
    is_causal: bool

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", model: "PreTrainedModel", groups: Groups) -> "_Reader":
        """Look whether a token's states ignore what follows, which is what lets words share a run of the encoder."""
        reader = cls(tokenizer, model, groups, is_causal=True)
        ids = reader._tokens(["one two three four"])[0]
        alone, followed = reader._encode(ids[:1], [(0, 1)]), reader._encode(ids, [(0, 1)])
        is_causal = np.allclose(alone, followed, rtol=1e-3, atol=1e-3 * np.abs(alone).max())
        return replace(reader, is_causal=bool(is_causal))

    def read(self, pieces: Sequence[Piece], step: Pass) -> Float[np.ndarray, "word layer dim"]:
        """Encode the words of one pass; a word that the shared tokens do not fit is encoded by itself."""
        text = "".join(piece.head + piece.tail for piece in pieces[step.start : step.first])
        contexts, prefixes = [], []
        for piece in pieces[step.first : step.stop]:
            contexts.append(text + piece.head)
            prefixes.append(contexts[-1][: -len(piece.word)].rstrip())
            text += piece.head + piece.tail
        ids = self._tokens(contexts)
        n_own = [max(1, len(i[-self._limit :]) - n) for i, n in zip(ids, self._counts(prefixes), strict=True)]
        shared = ids[-1]
        fits = [self.is_causal and len(i) <= self._limit and i == shared[: len(i)] for i in ids]
        spans = [(len(i) - n, len(i)) for i, n, fit in zip(ids, n_own, fits, strict=True) if fit]
        vectors = np.empty((len(ids), len(self.groups), self.model.config.hidden_size), np.float32)
        if spans:
            vectors[np.array(fits)] = self._encode(shared, spans)
        for place in np.flatnonzero(~np.array(fits)):
            own = ids[place][-self._limit :]
            vectors[place] = self._encode(own, [(len(own) - n_own[place], len(own))])[0]
        return vectors

    @property
    def _limit(self) -> int:
        return self.tokenizer.model_max_length

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]

    def _counts(self, texts: Sequence[str]) -> list[int]:
        different = list(dict.fromkeys(text for text in texts if text))
        counts = {"": 0}
        if different:
            counts |= {text: len(ids) for text, ids in zip(different, self._tokens(different), strict=True)}
        return [counts[text] for text in texts]

    def _encode(self, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> Float[np.ndarray, "word layer dim"]:
        """Average the layer groups over each span of tokens."""
        import torch

        with torch.inference_mode():
            tokens = torch.tensor([ids], device=self.model.device)
            states = self.model(input_ids=tokens, output_hidden_states=True, use_cache=False).hidden_states
            pooled = {s: torch.stack([states[s][0, a:b].mean(0) for a, b in spans]) for s in wanted_states(self.groups)}
            means = [torch.stack([pooled[state] for state in group]).mean(0) for group in self.groups]
            return torch.stack(means, dim=1).float().cpu().numpy()

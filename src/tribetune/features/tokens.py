"""Tokens of many beginnings of one text, without reading each of them from its start."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tokenise = Callable[[Sequence[str]], list[list[int]]]
"""From texts to their token ids, each by itself."""

_MARGIN = 3
"""A beginning is read anew from the third anchor before its end: what is cut off may change its last tokens."""

_ANCHOR = re.compile(r"(?<=\S) (?=\S)|(?<=[^\W_])[、。，！？；：،؟۔।]")
"""Where no token reaches across: before a single blank, and before a sign that ends a phrase without one."""


@dataclass(frozen=True)
class Beginning:
    """Tokens of the beginning of a text.

    Parameters
    ----------
    n_shared : int
        So many tokens are also the whole text's first.
    rest : tuple of int
        Tokens after those: the end of the beginning lies inside a token of the whole text. Mostly none.
    """

    n_shared: int
    rest: tuple[int, ...]

    def __len__(self) -> int:
        return self.n_shared + len(self.rest)


def tokenise_beginnings(tokenise: Tokenise, text: str, stops: Sequence[int]) -> tuple[list[int], dict[int, Beginning]]:
    """Tokenise a text and those of its beginnings that end at given characters.

    Parameters
    ----------
    tokenise : callable
    text : str
    stops : sequence of int
        In any order, 0 to ``len(text)``.

    Returns
    -------
    ids : list of int
        Tokens of the whole text.
    beginnings : dict of int to Beginning
        Per stop, the tokens of ``text[:stop]``.

    Notes
    -----
    Every beginning is read from an anchor shortly before its end, if cutting the text at the anchors leaves the text's
    own tokens as they are; otherwise from its start.
    """
    ids = tokenise([text])[0] if text else []
    wanted = sorted(set(stops) - {0, len(text)})
    anchors = _sound_anchors(tokenise, text, ids, wanted[0]) if wanted else [(0, 0)]
    starts = _latest(anchors, wanted)
    tails = tokenise([text[begin:stop] for (begin, _), stop in zip(starts, wanted, strict=True)]) if wanted else []
    known = {0: Beginning(0, ()), len(text): Beginning(len(ids), ())}
    for stop, (_, n_before), tail in zip(wanted, starts, tails, strict=True):
        agree = _n_equal(ids[n_before : n_before + len(tail)], tail)
        known[stop] = Beginning(n_before + agree, tuple(tail[agree:]))
    return ids, known


def tokeniser(tokenizer: "PreTrainedTokenizerBase") -> Tokenise:
    """Tokenise without special tokens and without a limit."""

    def tokenise(texts: Sequence[str]) -> list[list[int]]:
        wanted = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
        return tokenizer(list(texts), verbose=False, **wanted)["input_ids"]

    return tokenise


def _sound_anchors(tokenise: Tokenise, text: str, ids: Sequence[int], first_stop: int) -> list[tuple[int, int]]:
    """Characters where the text may be cut, each with the number of tokens before it; 0 is always one."""
    found = [match.start() for match in _ANCHOR.finditer(text)]
    needed = max(0, sum(place < first_stop for place in found) - _MARGIN)
    cuts = [0, *found[needed:], len(text)]
    anchors, n_before = [], 0
    parts = tokenise([text[a:b] for a, b in pairwise(cuts)])
    for begin, part in zip(cuts[:-1], parts, strict=True):
        if list(part) != list(ids[n_before : n_before + len(part)]):
            return [(0, 0)]
        anchors.append((begin, n_before))
        n_before += len(part)
    return anchors if n_before == len(ids) else [(0, 0)]


def _latest(anchors: Sequence[tuple[int, int]], stops: Sequence[int]) -> list[tuple[int, int]]:
    """Per stop (in order), the anchor that is followed by others up to the stop, as many as the margin asks for."""
    chosen, place = [], 0
    for stop in stops:
        while place < len(anchors) and anchors[place][0] < stop:
            place += 1
        chosen.append(anchors[max(0, place - _MARGIN)])
    return chosen


def _n_equal(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    if list(one) == list(other):
        return len(other)
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

"""What of a text each word reads: the text cut into pieces, one per word, and the words that may read together."""

from collections.abc import Sequence
from dataclasses import dataclass

from tribetune.stimulus.event import Event


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


@dataclass(frozen=True)
class Context:
    """What one word reads, as two ends of a text: all of it, and the part before the word without trailing blanks."""

    stop: int
    before: int


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


def text_of(pieces: Sequence[Piece], step: Pass) -> tuple[str, list[Context]]:
    """Join what a pass reads, up to its last word.

    Returns
    -------
    text : str
    contexts : list of Context
        One per word from ``step.first`` on: every context is a beginning of the text.
    """
    parts = [piece.head + piece.tail for piece in pieces[step.start : step.first]]
    length, stops = sum(map(len, parts)), []
    for piece in pieces[step.first : step.stop]:
        stops.append(length + len(piece.head))
        parts += [piece.head, piece.tail]
        length = stops[-1] + len(piece.tail)
    text = "".join(parts)[: stops[-1]]
    words = [piece.word for piece in pieces[step.first : step.stop]]
    return text, [Context(stop, _stripped(text, stop - len(word))) for stop, word in zip(stops, words, strict=True)]


def _is_new_sentence(previous: Event, word: Event) -> bool:
    return previous.sentence != word.sentence or word.sentence_char <= previous.sentence_char


def _stripped(text: str, stop: int) -> int:
    """Where ``text[:stop].rstrip()`` ends."""
    while stop > 0 and text[stop - 1].isspace():
        stop -= 1
    return max(stop, 0)

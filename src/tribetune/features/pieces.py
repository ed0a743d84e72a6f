"""What of a text each word reads: the text cut into pieces, one per word, and the words that may read together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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

    A sentence is new where its text differs from that of the last word whose sentence is known, or where the position
    does not advance. A word without a known sentence stands by itself, with a blank on either side; the sentence around
    it goes on as if it were not there.
    """
    known = [word for word in words if word.sentence]
    around = zip([None, *known], known, [*known[1:], None], strict=False)
    pieces = [_piece(*next(around)) if word.sentence else Piece(word.text, " ", word.text) for word in words]
    for place, following in enumerate(words[1:]):
        piece = pieces[place]
        if not following.sentence and not (piece.head + piece.tail)[-1:].isspace():
            pieces[place] = replace(piece, tail=piece.tail + " ")
    return pieces


def _piece(previous: Event | None, word: Event, following: Event | None) -> Piece:
    """A word's share of its sentence, between its neighbours with a known sentence."""
    end = word.sentence_char + len(word.text)
    begin = 0 if previous is None or _is_new_sentence(previous, word) else word.sentence_char
    is_last = following is None or _is_new_sentence(word, following)
    tail = word.sentence[end:] if is_last else word.sentence[end : following.sentence_char]
    return Piece(word.sentence[begin:end], tail, word.text)


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

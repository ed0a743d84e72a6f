"""Text cut into words and sentences, and words found in their sentences."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise

from tribetune.stimulus.event import Event

_KANA = "\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HAN = "\u3005\u3006\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CJK = _KANA + _HAN
"""Characters of scripts without blanks whose characters are about syllables (Chinese, Japanese)."""

_CHARACTER = re.compile(rf"[{_CJK}][\u3099\u309a\ufe00-\ufe0f]*|[^{_CJK}]+")
_RUN = re.compile(rf"[{_CJK}]+")
_DIVIDED = re.compile(rf"[{_CJK}][ \u3000]+[{_CJK}]")
_LONGEST_WORD = 3  # characters of a Chinese or Japanese word, at most, on average

_TOKEN = re.compile(r"(?:(?!\.{2}|--)[^\s—…])+")
_CLOSING = "\"'”’»›)\\]}」』）】"
_END = re.compile(rf"[.!?…؟۔।॥]+[{_CLOSING}]*(?:\s+|$)|[。！？｡．]+[{_CLOSING}]*\s*|\n\s*")
_STRETCH = re.compile(rf"(?s:.{{0,999}}(?:\s|[{_CJK}]|$))|\S+\s?")

_PLAIN = str.maketrans("‘’ʼ“”–—‐‑ς", "'''\"\"----σ")


def split_words(text: str) -> list[tuple[int, str]]:
    """Find the words of a text, without the punctuation around them.

    Words stand between blanks, dashes and dots ("well—yes" and "wait...what" are two each) and have a letter or a
    digit. Chinese and Japanese are taken character by character, unless blanks divide the text into words already, of 3
    characters or fewer on average.

    Returns
    -------
    list of (int, str)
        Place in the text, and word.
    """
    runs = _RUN.findall(text)
    divided = _DIVIDED.search(text) and sum(map(len, runs)) <= _LONGEST_WORD * len(runs)
    words = []
    for token in _TOKEN.finditer(text):
        pieces = [token] if divided or not runs else _CHARACTER.finditer(text, *token.span())
        words += [word for piece in pieces if (word := _bare(text, *piece.span()))[1]]
    return words


def join_texts(texts: Sequence[str]) -> list[str]:
    """Give every text but the last the blank that stands before the next one; none between Chinese or Japanese."""
    joined = [text.strip() for text in texts]
    for place, (text, following) in enumerate(pairwise(joined)):
        without = _RUN.fullmatch(text[-1:] or " ") and _RUN.fullmatch(following[:1] or " ")
        joined[place] = text if without else text + " "
    return joined


def find_words(words: Sequence[str], sentence: str) -> list[int]:
    """Find words, in their order, in their sentence; upper case and the shape of quotes and dashes do not matter.

    A sentence that is said several times may be given once: when it is over, words are sought from its start again.

    Returns
    -------
    list of int
        Where each word begins; -1 where it is not in the sentence.
    """
    folded, wanted = _folded(sentence), [_folded(word) for word in words]
    places = [-1] * len(words)
    begin = 0
    while found := _align(wanted[begin:], folded):
        for number, place in found.items():
            places[begin + number] = place
        begin += max(found) + 1
    return places


def placed(words: Sequence[Event], sentence: str) -> list[Event]:
    """Give words their sentence; one that is not in it stands by itself."""
    places = find_words([word.text for word in words], sentence)
    return [
        replace(word, sentence=sentence if place >= 0 else "", sentence_char=place)
        for word, place in zip(words, places, strict=True)
    ]


def whole_sentences(words: Sequence[Event]) -> tuple[Event, ...]:
    """Replace pieces of text by the sentences that they make up.

    A sentence ends at its punctuation (. ! ? … 。 ؟ । and the like, with closing quotes), at a line break, and, where
    there is none, after about 1,000 characters: where a sentence ends does not change what the words before a word
    are. It does not end inside a word.

    Parameters
    ----------
    words : sequence of Event
        In order; each in the piece of text it comes from, which may hold a part of a sentence or several.
    """
    text, starts = _whole_text(words)
    stops = [place + len(word.text) for place, word in zip(starts, words, strict=True) if place >= 0]
    known = [place for place in starts if place >= 0]
    cuts = [0, *(cut for cut in _cuts(text) if bisect_right(stops, cut) == bisect_left(known, cut)), len(text)]
    cuts = sorted(set(cuts))
    whole = []
    for place, word in zip(starts, words, strict=True):
        if place >= 0:
            number = bisect_right(cuts, place)
            begin, end = cuts[number - 1], cuts[number]
            sentence = text[begin:end].replace("\n", " ")
            word = replace(word, sentence=sentence, sentence_char=place - begin)
        whole.append(word)
    return tuple(whole)


def _whole_text(words: Sequence[Event]) -> tuple[str, list[int]]:
    """The pieces of text joined, and where in it each word begins; -1 is nowhere."""
    pieces: list[str] = []
    begin, length, last = 0, 0, Event("word", 0.0, 0.0)
    starts = []
    for word in words:
        if not word.sentence:
            starts.append(-1)
            continue
        if word.sentence != last.sentence or word.sentence_char <= last.sentence_char:
            pieces.append(word.sentence)
            begin, length = length, length + len(word.sentence)
        starts.append(begin + word.sentence_char)
        last = word
    return "".join(pieces), starts


def _cuts(text: str) -> list[int]:
    """Where sentences end."""
    ends = [*(match.end() for match in _END.finditer(text)), len(text)]
    cuts, begin = [], 0
    for end in ends:
        cuts += [match.end() for match in _STRETCH.finditer(text, begin, end)] if end - begin > 1000 else [end]
        begin = end
    return cuts


def _bare(text: str, start: int, stop: int) -> tuple[int, str]:
    """A word without what is no letter, mark or digit at its ends."""
    while start < stop and not _is_spoken(text[start]):
        start += 1
    while start < stop and not _is_spoken(text[stop - 1]):
        stop -= 1
    return start, text[start:stop]


def _is_spoken(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _folded(text: str) -> str:
    """The text in lower case with plain quotes and dashes, character by character of the same length."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(low if len(low := character.lower()) == 1 else character for character in text)
    return lower.translate(_PLAIN)


def _align(words: Sequence[str], sentence: str) -> dict[int, int]:
    """Places of words in a sentence, both folded: first of those that are tokens of it, then of others between them."""
    tokens = [(match.start(), match.group()) for match in re.finditer(r"\S+", sentence)]
    bare = [[_bare(word, 0, len(word))[1] for word in side] for side in (words, [token for _, token in tokens])]
    matcher = SequenceMatcher(None, *bare, autojunk=False)
    anchors = {}
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            start, token = tokens[block.b + step]
            within = token.find(words[block.a + step])
            if within >= 0:
                anchors[block.a + step] = start + within
    found, cursor = {}, 0
    limits = sorted(anchors)
    for number, word in enumerate(words):
        following = limits[bisect_left(limits, number) :][:1]
        limit = anchors[following[0]] if following else len(sentence)
        place = anchors.get(number, sentence.find(word, cursor, limit))
        if place >= 0:
            found[number], cursor = place, place + len(word)
    return found

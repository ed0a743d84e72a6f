"""Stories made from a vocabulary with meanings, a small grammar, and topics that last for tens of seconds."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from tribetune.simulate.settings import FRAME_HZ, draw
from tribetune.simulate.vocabulary import CATEGORIES, TEMPLATES, TOPICS, WORDS, is_slot

__all__ = ["Sentence", "Story", "Word", "meaning_over_time", "tell"]


@dataclass(frozen=True)
class Word:
    """One spoken word.

    Attributes
    ----------
    onset_s, duration_s : float
        Seconds from the film's start.
    text : str
        As written, without punctuation.
    category : int
        Index into ``CATEGORIES``; -1 for a function word.
    sentence : str
        The sentence it belongs to, with a trailing blank.
    sentence_char : int
        Where it starts in the sentence.
    """

    onset_s: float
    duration_s: float
    text: str
    category: int
    sentence: str
    sentence_char: int


@dataclass(frozen=True)
class Sentence:
    """When a sentence is spoken, by whom (0 narrator, 1 woman, 2 man, 3 child), about which topic."""

    onset_s: float
    offset_s: float
    speaker: int
    topic: int


@dataclass(frozen=True)
class Story:
    """A film's script.

    Attributes
    ----------
    duration_s : float
    words : tuple of Word
    sentences : tuple of Sentence
    chapters : tuple of (onset_s, topic)
        When each topic begins.
    """

    duration_s: float
    words: tuple[Word, ...]
    sentences: tuple[Sentence, ...]
    chapters: tuple[tuple[float, int], ...]

    def topic_at(self, seconds: float) -> int:
        """The topic at a time."""
        return [topic for onset, topic in self.chapters if onset <= seconds][-1]


def tell(seed: int, run: int, duration_s: float) -> Story:
    """Make up a story: chapters of 20-55 s on one topic each, with pauses between sentences and between chapters.

    Parameters
    ----------
    seed, run : int
        Which story.
    duration_s : float
        Seconds to fill; no word reaches beyond.
    """
    rng = draw(seed, "story", run)
    words: list[Word] = []
    sentences: list[Sentence] = []
    chapters: list[tuple[float, int]] = []
    clock, topic = 0.0, -1
    while clock < duration_s:
        topic = int(rng.choice([t for t in range(len(TOPICS)) if t != topic]))
        chapters.append((clock, topic))
        clock += float(rng.uniform(1.0, 6.0)) if len(chapters) > 1 else 1.0
        end = clock + float(rng.uniform(20.0, 55.0))
        cast = rng.choice(4, size=2, replace=False)
        while clock < min(end, duration_s):
            spoken, stop = _say(rng, topic, clock)
            if stop > duration_s - 0.5:
                clock = duration_s
                break
            words.extend(spoken)
            sentences.append(Sentence(clock, stop, int(rng.choice(cast)), topic))
            clock = stop + float(rng.gamma(2.0, 0.35)) + 0.15
        if rng.random() < 0.35:
            clock += float(rng.uniform(4.0, 12.0))  # action without speech
    return Story(duration_s, tuple(words), tuple(sentences), tuple(chapters))


def meaning_over_time(story: Story) -> Float[np.ndarray, "time category"]:
    """How many words of each category are being said, per frame (a word counts 1 over its duration)."""
    n_frames = round(story.duration_s * FRAME_HZ)
    meaning = np.zeros((n_frames, len(CATEGORIES)), np.float32)
    for word in story.words:
        if word.category >= 0:
            start = round(word.onset_s * FRAME_HZ)
            meaning[start : max(start + 1, round((word.onset_s + word.duration_s) * FRAME_HZ)), word.category] += 1
    return meaning


def _say(rng: np.random.Generator, topic: int, clock: float) -> tuple[list[Word], float]:
    """One sentence's words from ``clock`` on, and when it ends."""
    picked = _fill(rng, topic)
    text = " ".join(word for word, _ in picked)
    sentence = text[0].upper() + text[1:] + ". "
    spoken, place = [], 0
    for number, (word, category) in enumerate(picked):
        duration = (0.12 + 0.045 * len(word)) * float(np.exp(rng.normal(0, 0.15)))
        written = word.capitalize() if number == 0 else word
        spoken.append(Word(round(clock, 3), round(duration, 3), written, category, sentence, place))
        place += len(word) + 1
        clock += duration + float(rng.gamma(1.5, 0.03))
    return spoken, clock


def _fill(rng: np.random.Generator, topic: int) -> list[tuple[str, int]]:
    """A template's slots filled with words that the topic favours."""
    template = TEMPLATES[int(rng.choice(len(TEMPLATES), p=_template_odds()[topic]))]
    picked = []
    for slot in template.split():
        if is_slot(slot):
            picked.append((str(rng.choice(WORDS[slot.lower()])), CATEGORIES.index(slot.lower())))
        else:
            picked.append((slot, -1))
    return picked


@cache
def _template_odds() -> Float[np.ndarray, "topic template"]:
    """How likely each topic uses each template: by the mean weight the topic gives to the template's categories."""
    odds = np.zeros((len(TOPICS), len(TEMPLATES)))
    for t, weights in enumerate(TOPICS.values()):
        for k, template in enumerate(TEMPLATES):
            slots = [slot.lower() for slot in template.split() if is_slot(slot)]
            odds[t, k] = np.mean([weights.get(slot, 0.15) for slot in slots]) ** 2
    return odds / odds.sum(1, keepdims=True)

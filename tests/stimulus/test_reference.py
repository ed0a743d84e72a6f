"""What the reference hears twice."""

from tribetune.stimulus.event import Event
from tribetune.stimulus.reference import repeated_words


def test_every_chunk_of_a_sound_has_all_its_words_and_twice_its_own_onset() -> None:
    early, late = Event("word", 2.0, 0.3, text="first"), Event("word", 130.0, 0.3, text="last")
    heard = repeated_words([early, late], [0.0, 60.0, 120.0])  # 150 s are cut into 60 + 60 + 30
    assert [(word.text, word.onset_s) for word in heard] == [
        ("first", 2.0),
        ("first", 122.0),
        ("last", 130.0),
        ("first", 242.0),
        ("last", 250.0),
        ("last", 370.0),  # spec h.1: words up to 370 s of a file of 150 s
    ]


def test_a_sound_in_one_chunk_is_heard_once() -> None:
    words = (Event("word", 1.0, 0.3, text="a"), Event("word", 1.0, 0.1, text="b"))
    assert repeated_words(words, [0.0]) == words

"""The reference's fault in how a stimulus is heard: its transcript repeated for every stretch of the sound."""

from collections.abc import Sequence
from dataclasses import replace

from tribetune.stimulus.event import Event


def repeated_words(words: Sequence[Event], chunk_starts_s: Sequence[float]) -> tuple[Event, ...]:
    """Give every chunk of a sound all of its words, as the reference does.

    Parameters
    ----------
    words : sequence of Event
        Of one sound.
    chunk_starts_s : sequence of float
        Where its chunks begin, in seconds from the sound's start.

    Returns
    -------
    tuple of Event
        In order of time: chunk k's copy of a word comes twice the chunk's start later than the word.

    Notes
    -----
    Source: spec h.1. The reference cuts the sound first, has the whole file transcribed for each chunk, and adds both
    the chunk's onset and its offset in the file. Below 90 s there is one chunk, and nothing is repeated.
    """
    copies = (replace(word, onset_s=word.onset_s + 2 * start_s) for start_s in chunk_starts_s for word in words)
    return tuple(sorted(copies, key=lambda word: word.onset_s))

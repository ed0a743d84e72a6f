"""What a user can mend, with a hint: the whole error tree."""

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar

T = TypeVar("T")

_HINTS = 3
"""Hints that are told together."""


class TribetuneError(Exception):
    """Something the user can mend.

    Parameters
    ----------
    message : str
        Where it is, what was found, what was expected.
    hint : str
        A command to run or a key to change.
    faults : sequence of str
        Where several things are wrong: each of them; the message is then their heading.
    """

    def __init__(self, message: str, *, hint: str = "", faults: Sequence[str] = ()) -> None:
        super().__init__(": ".join([message, "; ".join(faults)]) if faults else message)
        self.heading, self.hint, self.faults = message, hint, tuple(faults)


class RecipeError(TribetuneError):
    """A recipe has faults; the message lists them all."""


class StimulusError(TribetuneError):
    """A stimulus file, its codec or its words cannot be used."""


class FeatureError(TribetuneError):
    """An encoder, the feature store, or features that do not fit the checkpoint."""


class BoldError(TribetuneError):
    """A BOLD run is missing, too short, not finite, or its timing is wrong."""


class SpaceError(TribetuneError):
    """Outputs differ in number or order."""


class CheckpointError(TribetuneError):
    """A checkpoint's keys, sizes or hash are wrong, or the file is unsafe."""


class LeakageError(TribetuneError):
    """Something from the test reached the training."""


class AdaptationError(TribetuneError):
    """Nothing is trainable, or nothing changed."""


def together(jobs: Iterable[Callable[[], T]]) -> list[T]:
    """Do every job, also those after one that fails, and tell everything that went wrong at once.

    Raises
    ------
    TribetuneError
        The only error; or one of the first one's kind, with all faults.
    """
    done, errors = [], []
    for job in jobs:
        try:
            done.append(job())
        except TribetuneError as error:
            errors.append(error)
    faults = dict.fromkeys(fault for error in errors for fault in error.faults or (str(error),))
    if len(errors) == 1 or len(faults) == 1:
        raise errors[0]
    if errors:
        hints = [*dict.fromkeys(hint for error in errors for hint in error.hint.split("; ") if hint)]
        # Of more, each is about one file of many.
        several = hints if len(hints) <= _HINTS else [f"for the first: {hints[0]}"]
        raise type(errors[0])(f"{len(faults)} things are wrong", hint="; ".join(several), faults=tuple(faults))
    return done


def refusing(error: TribetuneError) -> Callable[[], NoReturn]:
    """A job of `together` that fails: for what is known to be wrong before the others are done."""

    def job() -> NoReturn:
        raise error

    return job

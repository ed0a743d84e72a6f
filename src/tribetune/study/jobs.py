"""Extraction as jobs that a cluster can run, interrupt and run again: one modality of one stimulus each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tribetune.errors import TribetuneError
from tribetune.features.encoders import Options, encoders
from tribetune.features.extract import EVENT_KINDS, entries, make
from tribetune.features.store import is_kept
from tribetune.stimulus.timeline import Timeline

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

CONTINUES = "the same command continues with what is not finished"
"""What a user may know after every failure."""


@dataclass(frozen=True)
class Fault:
    """Why a job failed.

    Parameters
    ----------
    message, hint : str
    is_ours : bool
        Nothing that a user can mend.
    """

    message: str
    hint: str
    is_ours: bool = False


@dataclass(frozen=True)
class Job:
    """One modality of one stimulus; called on a node, again after every interruption.

    Parameters
    ----------
    stimulus : str
        Name for messages.
    timeline : Timeline
    modality : str
    encoders : str
        As `features.encoders.encoders` takes it.
    options : Options or None
    store : Path
    device : str
    """

    stimulus: str
    timeline: Timeline
    modality: str
    encoders: str
    options: Options | None
    store: Path
    device: str = "auto"

    def __call__(self) -> Fault | None:
        """Extract into the store, going on where an earlier turn stopped; what a user can mend is returned."""
        try:
            encoder = encoders(self.encoders, self.options)[self.modality]
            list(make(self.timeline, encoder, self.store, self.device))
        except TribetuneError as error:
            return Fault(str(error), error.hint)
        except OSError as error:
            return Fault(str(error), f"check the disk as the cluster's nodes see it; then {CONTINUES}")
        return None

    def checkpoint(self) -> "DelayedSubmission":
        """What runs in its place after an interruption: the same, because what was done lies in the store."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    @property
    def name(self) -> str:
        """Stimulus and modality."""
        return f"{self.stimulus} · {self.modality}"

    def is_complete(self) -> bool:
        """Whether the store has all of it."""
        encoder = encoders(self.encoders, self.options)[self.modality]
        return all(is_kept(self.store, entry) for entry in entries(self.timeline, encoder))


def jobs_of(timelines: Mapping[str, Timeline], modalities: Sequence[str], like: Job) -> list[Job]:
    """Divide stimuli into jobs.

    Parameters
    ----------
    timelines : mapping of stimulus name to Timeline
    modalities : sequence of str
        Those that a stimulus does not show make no job.
    like : Job
        Whose encoders, options, store and device all jobs have.
    """
    return [
        replace(like, stimulus=name, timeline=timeline, modality=modality)
        for name, timeline in timelines.items()
        for modality in modalities
        if timeline.of_kind(EVENT_KINDS[modality])
    ]

"""Which samples of a study train, choose and test, and which show a clip again."""

from collections.abc import Mapping, Sequence

from tribetune.bold.run import is_named
from tribetune.errors import BoldError
from tribetune.recipe.data import BlockSplit
from tribetune.recipe.schema import Recipe
from tribetune.splits import (
    Part,
    Split,
    check_enough,
    limit_calibration,
    split_by_block,
    split_by_run,
    without_stretches,
)
from tribetune.timing import OUTPUT_HZ, n_steps
from tribetune.windows import AlignedRun


def split_runs(
    recipe: Recipe, aligned: Sequence[AlignedRun], starts_s: Mapping[str, float]
) -> tuple[Split, tuple[Part, ...]]:
    """Split a study's runs as its recipe says.

    Parameters
    ----------
    recipe : Recipe
    aligned : sequence of AlignedRun
    starts_s : mapping of run label to float
        When each run's stimulus begins, in seconds after its first volume.

    Returns
    -------
    split : Split
    repeats : tuple of Part
        Stretches of one length that show the same clip, in no part of the split.

    Raises
    ------
    BoldError, LeakageError
        If runs or stretches are not there, or too little is left to train on.
    """
    repeats = _repeats(recipe, aligned, starts_s)
    split = without_stretches(_split(recipe, aligned), {part.aligned.label: part.span for part in repeats})
    split = limit_calibration(split, recipe.data.calibration_minutes)
    check_enough(split, recipe.windows.duration_s)
    return split, repeats


def _split(recipe: Recipe, aligned: Sequence[AlignedRun]) -> Split:
    choice = recipe.data.split
    if not isinstance(choice, BlockSplit):
        return split_by_run(aligned, choice.validation, choice.test)
    if len(aligned) != 1:
        raise BoldError(
            f"{len(aligned)} runs, but data.split.by is `block`, which splits a single run", hint="set it to `run`"
        )
    return split_by_block(aligned[0], choice.test, choice.validation, choice.gap_s, recipe.windows.duration_s)


def _repeats(recipe: Recipe, aligned: Sequence[AlignedRun], starts_s: Mapping[str, float]) -> tuple[Part, ...]:
    """The stretches that show the same clip, cut to the shortest."""
    found = []
    for name, (from_s, to_s) in recipe.data.repeats.items():
        named = [run for run in aligned if is_named(run.label, name)]
        if len(named) != 1:
            there = ", ".join(run.label for run in aligned)
            told = f"{len(named)} runs are" if named else "no run is"
            raise BoldError(f"data.repeats: {told} called {name!r}; there are {there}", hint="mend data.repeats")
        run, start_s = named[0], starts_s[named[0].label]
        span = n_steps(max(0.0, from_s - start_s), OUTPUT_HZ), n_steps(max(0.0, to_s - start_s), OUTPUT_HZ)
        if not 0 <= span[0] < span[1] <= len(run.mask):
            raise BoldError(
                f"data.repeats: {from_s:g} to {to_s:g} s of {run.label} are not within its stimulus, which lasts from"
                f" {start_s:g} to {start_s + len(run.mask):g} s",
                hint="give seconds after the first volume",
            )
        found.append(Part(run, span))
    length = min((part.span[1] - part.span[0] for part in found), default=0)
    return tuple(Part(part.aligned, (part.span[0], part.span[0] + length)) for part in found)

"""Whether a study fits its checkpoint, and what a reader must know where they differ."""

from tribetune.adapt.base import Base
from tribetune.adapt.rows import has_unseen
from tribetune.errors import FeatureError, SpaceError
from tribetune.model.inputs import longest_window
from tribetune.model.tribe import Tribe
from tribetune.recipe.schema import Recipe
from tribetune.spaces import Space
from tribetune.timing import FEATURE_HZ


def check_window(tribe: Tribe, window_s: float) -> None:
    """Refuse windows longer than the checkpoint takes.

    Raises
    ------
    FeatureError
        With the longest that it takes.
    """
    longest_s = longest_window(tribe.config) / FEATURE_HZ
    if window_s > longest_s:
        raise FeatureError(
            f"windows of {window_s:g} s, the checkpoint takes at most {longest_s:g} s",
            hint=f"set windows.duration_s to {longest_s:g} or less",
        )


def check_outputs(tribe: Tribe, space: Space) -> None:
    """Refuse outputs that are as many as the checkpoint's, but of another space: its row would mean other places.

    Raises
    ------
    SpaceError
        With both spaces.
    """
    config = tribe.config
    if config.unseen_row and space.n_outputs == config.n_outputs and space.name != config.space:
        raise SpaceError(
            f"the study's {space.n_outputs:,} outputs are of {space.name}, the checkpoint's {config.n_outputs:,} are of"
            f" {config.space}: their order is another",
            hint="set data.space to the checkpoint's, or use a parcellation of another number of parcels",
        )


def has_row(trunk: Base, space: Space) -> bool:
    """Whether the unseen row predicts any output of the study, whose space the trunk is in where they share any."""
    config = trunk.tribe.config
    return config.unseen_row and (config.space, config.n_outputs) == (space.name, space.n_outputs)


def from_nothing(trunk: Base) -> list[str]:
    """Which outputs the unseen row lacks, where it has others of the study's."""
    space = trunk.space
    if space is None or has_unseen(trunk.tribe, space.n_outputs):
        return []
    bias = trunk.tribe.subjects.bias[-1]
    told: dict[bool, list[str]] = {True: [], False: []}
    for name, part in space.parts.items():
        told[bool(bias[part.start].isfinite())].append(f"{len(part):,} outputs of {name}")
    return [
        f"Readouts of {' and '.join(told[False])} start from nothing: the checkpoint's unseen row does not have them."
        f" Those of {' and '.join(told[True])} start from it. Zero-shot and gain are not defined for both together."
    ]


def mismatches(recipe: Recipe, tribe: Tribe, *, has_row: bool = True) -> list[str]:
    """What the checkpoint's own targets had otherwise; whether it has an unseen row for any output of the study."""
    notes, lag_s, cleaning = [], recipe.windows.hemodynamic_lag_s, recipe.data.cleaning
    if lag_s != tribe.config.lag_s:
        notes.append(
            f"The checkpoint was trained at a lag of {tribe.config.lag_s:g} s, this study's is"
            f" {lag_s:g} s: its predictions come as much too early or late."
        )
    if cleaning != tribe.config.cleaning:
        concerned = "zero-shot, and where readouts start, are" if has_row else "its trunk is"
        notes.append(
            f"The checkpoint was trained on BOLD cleaned by `{tribe.config.cleaning}`, this study's is cleaned by"
            f" `{cleaning}`: {concerned} for BOLD cleaned otherwise."
        )
    return notes

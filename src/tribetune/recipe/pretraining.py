"""The schema of a recipe for pretraining: many subjects, one trunk."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tribetune.recipe.schema import FeatureChoice, Windows
from tribetune.recipe.section import Fraction, Positive, Section


class Cohort(Section):
    """A simulated cohort to train on (see ``tribetune simulate``)."""

    folder: Path
    subjects: Annotated[int, Field(ge=1)]
    runs: Annotated[int, Field(ge=2)]
    minutes: Positive
    seed: Annotated[int, Field(ge=0)]


class TrainingWindows(Windows):
    """How runs are cut for training."""

    random_phase: bool = False
    """Windows begin elsewhere in every epoch; none crosses the edge of its part."""


class Sizes(Section):
    """The network's sizes; a projector's width is ``hidden / number of modalities``."""

    hidden: Annotated[int, Field(ge=1)] = 1152
    depth: Annotated[int, Field(ge=1)] = 8
    heads: Annotated[int, Field(ge=1)] = 8
    low_rank: Annotated[int, Field(ge=1)] | None = 2048
    temporal_smoothing: Annotated[int, Field(ge=1)] | None = None
    """Kernel, in steps of 0.5 s, of a learned filter over time per channel; odd."""
    modality_dropout: Fraction = 0.3
    subject_dropout: Fraction = 0.1
    max_steps: Annotated[int, Field(ge=1)] = 1024
    """Longest window, in feature steps."""


class Pretraining(Section):
    """Adam with a one-cycle learning rate, as the reference."""

    epochs: Annotated[int, Field(ge=1)] = 15
    batch_size: Annotated[int, Field(ge=1)] = 8
    learning_rate: Positive = 1e-4
    keep: Literal["unseen", "all"] = "unseen"
    """Readout rows that are kept in the checkpoint."""


class PretrainRecipe(Section):
    """Many subjects, one trunk."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0)] = 33
    cohort: Cohort
    validation_runs: Annotated[list[str | int], Field(min_length=1)]
    features: FeatureChoice = FeatureChoice(encoders="tiny")
    windows: TrainingWindows = TrainingWindows()
    model: Sizes = Sizes()
    pretraining: Pretraining = Pretraining()

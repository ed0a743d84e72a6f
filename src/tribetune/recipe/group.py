"""The schema of a recipe for group prediction: many subjects who saw the same, one prediction, nothing trained."""

from typing import Annotated, Literal

from pydantic import Field

from tribetune.recipe.data import Data, RunSplit, Source
from tribetune.recipe.schema import FeatureChoice, Recipe, Windows, ZeroShot
from tribetune.recipe.section import Label, Section


class GroupData(Source):
    """The BOLD of a cohort who saw the same stimuli."""

    subjects: Literal["all"] | Annotated[list[Label], Field(min_length=2)] = "all"
    """``all`` that are there, or a list of labels."""

    def of(self, subject: str) -> Data:
        """The data of one subject; nothing is trained, so its split says nothing."""
        shared = self.model_dump(exclude={"subjects"})
        return Data(**shared, subject=subject, split=RunSplit(test=["all"]))


class GroupEvaluation(Section):
    """How R_group's intervals are made."""

    bootstrap_draws: Annotated[int, Field(ge=100)] = 1000
    """Cohorts resampled."""


class GroupRecipe(Section):
    """One checkpoint, many subjects, one prediction for all of them."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    checkpoint: str = "tribe-toy"
    """A name from ``checkpoints/``, a folder, or an official TRIBE v2 folder."""
    seed: Annotated[int, Field(ge=0)] = 33
    data: GroupData
    features: FeatureChoice = FeatureChoice()
    windows: Windows = Windows()
    evaluation: GroupEvaluation = GroupEvaluation()

    def of(self, subject: str) -> Recipe:
        """The same for one subject, in the form that everything else reads."""
        return Recipe(
            name=self.name,
            checkpoint=self.checkpoint,
            seed=self.seed,
            data=self.data.of(subject),
            features=self.features,
            windows=self.windows,
            adaptation=ZeroShot(method="zero-shot"),
        )

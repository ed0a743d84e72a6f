"""The schema of a recipe: a whole study's decisions on one page, in the order the data flows."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tribetune.recipe.data import Data
from tribetune.recipe.section import Positive, Section, WholeSeconds

Modality = Literal["text", "audio", "video"]


class FeatureChoice(Section):
    """Which representations of the stimulus, made by which frozen encoders."""

    modalities: list[Modality] = Field(["text", "audio", "video"], min_length=1)
    encoders: str = "checkpoint"
    """``checkpoint``: those that made the checkpoint's features; or ``released``, ``mini``, ``tiny``, a folder."""
    store: Path = Path("cache/features")
    """Folder where features are kept; extracted once."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Of the encoders and of the model."""


class Windows(Section):
    """How runs are cut for the model."""

    duration_s: WholeSeconds = 100.0
    stride_s: WholeSeconds = 100.0
    hemodynamic_lag_s: float = 5.0
    """The model's output at stimulus time t is compared with BOLD at t + lag."""


class ZeroShot(Section):
    """The unseen-subject row as it is."""

    method: Literal["zero-shot"]


class Gain(Section):
    """A gain and an offset per output on the unseen row's prediction."""

    method: Literal["gain"]
    shrinkage: Annotated[float, Field(ge=0)] = 1.0
    """How much of the gains' sampling variance is believed; a large one keeps every gain at 1."""


class Ridge(Section):
    """A closed-form readout, shrunk towards the unseen row."""

    method: Literal["ridge"]
    penalty: Positive | Literal["auto"] = "auto"
    """Per sample of standardised data; ``auto`` leaves out each calibration run in turn."""
    penalty_per: Literal["all", "output", "parcel"] = "all"
    """Which outputs share a penalty."""
    parcels: Path | None = None
    """For ``penalty_per: parcel``: a CSV with one label per output."""
    smoothing_s: Annotated[float, Field(ge=0)] = 0.0
    """Width of a Gaussian over time that the fit goes through; predictions are not smoothed."""

    @model_validator(mode="after")
    def _parcels_where_wanted(self) -> "Ridge":
        if (self.penalty_per == "parcel") != (self.parcels is not None):
            raise ValueError("`parcels` (a CSV of labels) goes with `penalty_per: parcel`")
        return self


class LowRank(Section):
    """A closed-form difference of low rank from the unseen row: 12 MB at most."""

    method: Literal["low-rank"]
    rank: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    penalty: Positive | Literal["auto"] = "auto"
    """Per sample of standardised data; ``auto`` leaves out each calibration run in turn."""


class Readout(Section):
    """A personal readout on the frozen trunk, one epoch from the unseen row."""

    method: Literal["readout"]
    epochs: Annotated[int, Field(ge=1)] = 1
    learning_rate: Positive | Literal["auto"] = "auto"
    """Relative to the largest stable step (1.0); ``auto`` chooses on inner blocks of the calibration data."""
    block_trs: Annotated[int, Field(ge=1)] = 25
    """Samples per optimiser step."""
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    """Steps in which the learning rate rises."""
    correlation_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the loss that is one minus Pearson's r; the rest is the squared error."""
    average: bool = False
    """Whether the readout is the mean of those along the epoch, instead of the last."""


class _TrunkTraining(Section):
    """What every method that trains the trunk can be told."""

    epochs: Annotated[int, Field(ge=1)] = 1
    learning_rate: Positive | Literal["auto"] = "auto"
    """Of what is trained in the trunk (Adam); ``auto`` chooses on inner blocks of the calibration data."""
    readout_learning_rate: Positive | Literal["auto"] = "auto"
    """Of the readout, relative to the largest stable step (1.0)."""
    readout_rank: Annotated[int, Field(ge=1)] | Literal["full"] = "full"
    """The readout's difference from the unseen row is cut down to this rank; 128 makes a file of at most 17 MB."""
    block_trs: Annotated[int, Field(ge=1)] = 25
    """Samples per optimiser step of the readout."""
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    """Steps of the readout in which both learning rates rise."""
    correlation_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the loss that is one minus Pearson's r; the rest is the squared error."""
    average: bool = False
    """Whether trunk and readout are the mean of those along the epoch, instead of the last."""
    random_phase: bool = False
    """Whether windows begin elsewhere in every epoch."""
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that a window loses a modality in training."""


class Lora(_TrunkTraining):
    """LoRA on the trunk's linears and a personal readout, one epoch."""

    method: Literal["lora"]
    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Positive = 16.0
    """Scale of the low-rank update: ``alpha / rank``."""
    variant: Literal["lora", "rslora", "dora"] = "lora"
    """``rslora`` scales by ``alpha / sqrt(rank)``; ``dora`` learns the weights' magnitudes, too."""


class Full(_TrunkTraining):
    """Every weight before the readout and a personal readout, one epoch: for a workstation, and much data."""

    method: Literal["full"]
    readout_rank: Annotated[int, Field(ge=1)] | Literal["full"] = 128
    """Rank of the readout's difference from the unseen row; ``full`` keeps all of it."""


class Ladder(Section):
    """Rung by rung, each with its defaults: the last that beats the one kept before it, on validation data."""

    method: Literal["ladder"]
    rungs: list[Literal["gain", "ridge", "low-rank", "readout", "lora", "full"]] = Field(
        ["gain", "ridge", "low-rank", "readout", "lora"], min_length=1
    )
    """Tried in this order, judged on ``data.split.validation``; without it on the last calibration run, left out."""


Adaptation = Annotated[
    ZeroShot | Gain | Ridge | LowRank | Readout | Lora | Full | Ladder, Field(discriminator="method")
]


class Evaluation(Section):
    """What the adapter is held against, on identical samples."""

    baselines: list[Literal["zero-shot", "fir", "banded", "nuisance", "others"]] = Field(["zero-shot", "fir"])
    """``banded``: FIR with a penalty per modality; ``nuisance``: low-level stimulation, head motion and position in the
    run; ``others``: the mean BOLD of the other subjects who had the test's stimulus. Those beyond the default cost:
    ``nuisance`` decodes every film once and fits one more ridge, 1.5 CPU min for an hour of 20,484 outputs; ``others``
    reads everybody's BOLD."""
    noise_ceiling: Literal["auto", "none", "repeat", "split-half", "inter-subject"] = "auto"
    """``auto``: from repeats of a stimulus within the test, else from other subjects with the test's stimulus."""
    fir_delays_s: list[float] = Field([2.0, 4.0, 6.0, 8.0], min_length=1)
    fir_components: Annotated[int, Field(ge=1)] | None = None
    """Principal components of each modality that ``fir`` and ``banded`` use, fitted on training runs; all features when
    left out."""
    unique_contribution: bool = False
    """Whether zero-shot and adapted models are also scored with every set of modalities: what each alone adds, and what
    they share. Of three modalities it costs six more predictions of the test per model, and three times the disk."""
    bootstrap_draws: Annotated[int, Field(ge=100)] = 1000
    bootstrap_block_s: Positive = 30.0
    native_t_r: bool = False
    """Whether predictions are scored at the times of the volumes, with BOLD as it was measured, instead of at 1 Hz."""
    uncertainty: bool = True
    """Whether adapters say how far BOLD lies from their predictions: a few refits, none for ridge."""
    selected_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of outputs in the set that is fixed on calibration data and the same for all methods."""


class Recipe(Section):
    """One subject, one adaptation, one honest table."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    checkpoint: str = "tribe-toy"
    """A name from ``checkpoints/``, a folder, or an official TRIBE v2 folder."""
    seed: Annotated[int, Field(ge=0)] = 33
    data: Data
    features: FeatureChoice = FeatureChoice()
    windows: Windows = Windows()
    adaptation: Adaptation
    evaluation: Evaluation = Evaluation()
    chosen_on: dict[str, list[str | int]] = Field({})
    """Runs by which a value of this recipe was chosen, under its key: ``{windows.hemodynamic_lag_s: [1, 2]}``. A test
    run among them is a leak."""

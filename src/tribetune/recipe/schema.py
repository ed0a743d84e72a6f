"""The schema of a recipe: a whole study's decisions on one page, in the order the data flows."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Modality = Literal["text", "audio", "video"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
WholeSeconds = Annotated[float, Field(gt=0, multiple_of=1)]
Label = Annotated[str, Field(coerce_numbers_to_str=True)]


class Section(BaseModel):
    """A part of a recipe: frozen, and a misspelt key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class RunSplit(Section):
    """Whole runs for training, validation and test."""

    by: Literal["run"] = "run"
    validation: list[str | int] = []
    """Runs kept from training; the learning rate is still chosen inside the training runs."""
    test: Annotated[list[str | int], Field(min_length=1)]
    """Runs that are only ever scored."""


class BlockSplit(Section):
    """Contiguous blocks of a single run, apart by a gap: training first, then validation, then test."""

    by: Literal["block"]
    validation: Fraction = 0.0
    """Share of the run before the test block."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the run at its end."""
    gap_s: Positive = 110.0
    """Seconds left out between blocks; at least a window plus the lag."""


class Tables(Section):
    """BOLD that is already a table: time × regions, per run and subject (NPZ, TSV or HDF5)."""

    path: str
    """The file; ``{subject}`` and ``{run}`` stand for one file each."""
    bold: str = ""
    """Name of the array in an NPZ or HDF5 file; may be left out where there is only one."""
    subjects: str = ""
    """Name of the array that labels the subjects; the usual names are tried."""
    regions: str = ""
    """Name of the array that labels the regions; the usual names are tried."""
    t_r: Positive | None = None
    """Repetition time in seconds, where the file does not say it."""
    first_volume_s: float | None = None
    """Time of the first volume on the clock of the stimulus, in seconds, where the file does not say it."""
    media: str = ""
    """The film or sound, again with ``{subject}`` and ``{run}``; none when only words are used."""
    words: str = ""
    """Word timings; an NPZ table may carry its own."""


class Data(Section):
    """One subject's BOLD and stimuli, and how they are split."""

    bids: Path | None = None
    """A BIDS dataset with fMRIPrep derivatives."""
    tables: Tables | None = None
    """BOLD that is already a table."""
    subject: Label
    """The subject's label, without ``sub-``; in quotes where it begins with a zero."""
    session: Label = ""
    task: str = ""
    space: Literal["fsaverage5", "table"] = "fsaverage5"
    cleaning: Literal["tribe"] = "tribe"
    """``tribe``: linear detrending and z-scoring per run, no confound regression."""
    split: Annotated[RunSplit | BlockSplit, Field(discriminator="by")]
    calibration_minutes: Positive = 60.0
    """How much of the training BOLD is used."""

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        if (self.bids is None) == (self.tables is None):
            raise ValueError("give either `bids` or `tables`, and not both")
        if (self.tables is not None) != (self.space == "table"):
            raise ValueError("`tables` goes with `space: table`, and `bids` with another space")
        return self


class FeatureChoice(Section):
    """Which representations of the stimulus, made by which frozen encoders."""

    modalities: Annotated[list[Modality], Field(min_length=1)] = ["text", "audio", "video"]
    encoders: str = "checkpoint"
    """``checkpoint``: those that made the checkpoint's features; or ``released``, ``mini``, ``tiny``, a folder."""
    store: Path = Path("cache/features")
    """Folder where features are kept; extracted once."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class Windows(Section):
    """How runs are cut for the model."""

    duration_s: WholeSeconds = 100.0
    stride_s: WholeSeconds = 100.0
    hemodynamic_lag_s: float = 5.0
    """The model's output at stimulus time t is compared with BOLD at t + lag."""


class ZeroShot(Section):
    """The unseen-subject row as it is."""

    method: Literal["zero-shot"]


class Readout(Section):
    """A personal readout on the frozen trunk, one epoch from the unseen row."""

    method: Literal["readout"]
    epochs: Annotated[int, Field(ge=1)] = 1
    learning_rate: Positive | Literal["auto"] = "auto"
    """Relative to the largest stable step (1.0); ``auto`` chooses on inner blocks of the calibration data."""
    block_trs: Annotated[int, Field(ge=1)] = 25
    """Samples per optimiser step."""


class Lora(Section):
    """LoRA on the trunk's linears and a personal readout, one epoch."""

    method: Literal["lora"]
    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Positive = 16.0
    """Scale of the low-rank update: ``alpha / rank``."""
    epochs: Annotated[int, Field(ge=1)] = 1
    learning_rate: Positive | Literal["auto"] = "auto"
    """Of the LoRA weights (Adam); ``auto`` chooses on inner blocks of the calibration data."""
    readout_learning_rate: Positive | Literal["auto"] = "auto"
    """Of the readout, relative to the largest stable step (1.0)."""
    block_trs: Annotated[int, Field(ge=1)] = 25
    """Samples per optimiser step of the readout."""


Adaptation = Annotated[ZeroShot | Readout | Lora, Field(discriminator="method")]


class Evaluation(Section):
    """What the adapter is held against, on identical samples."""

    baselines: list[Literal["zero-shot", "fir"]] = ["zero-shot", "fir"]
    fir_delays_s: Annotated[list[float], Field(min_length=1)] = [2.0, 4.0, 6.0, 8.0]
    bootstrap_draws: Annotated[int, Field(ge=100)] = 1000
    bootstrap_block_s: Positive = 30.0
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

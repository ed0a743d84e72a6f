"""The schema of a recipe, read and checked: a whole study's decisions on one page."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tribetune.errors import RecipeError

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


class Cohort(Section):
    """A simulated cohort to train on (see ``tribetune simulate``)."""

    folder: Path
    subjects: Annotated[int, Field(ge=1)]
    runs: Annotated[int, Field(ge=2)]
    minutes: Positive
    seed: Annotated[int, Field(ge=0)]


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
    windows: Windows = Windows()
    model: Sizes = Sizes()
    pretraining: Pretraining = Pretraining()


AnyRecipe = TypeVar("AnyRecipe", Recipe, PretrainRecipe)
_MAX_BYTES = 1_000_000


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : path
        A YAML file.
    overrides : sequence of str
        ``key.of.value=YAML``, each replaces one value.

    Raises
    ------
    RecipeError
        If it cannot be read, or with all its faults at once.
    """
    return _check(Recipe, _load(Path(path), overrides), str(path))


def read_pretrain_recipe(path: str | Path, overrides: Sequence[str] = ()) -> PretrainRecipe:
    """Read and check a recipe for pretraining; as `read_recipe`."""
    return _check(PretrainRecipe, _load(Path(path), overrides), str(path))


def read_any_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe | PretrainRecipe:
    """Read a recipe of either kind, told apart by its ``pretraining`` or ``cohort`` section."""
    values = _load(Path(path), overrides)
    if _is_for_pretraining(values):
        return _check(PretrainRecipe, values, str(path))
    return _check(Recipe, values, str(path))


def recipe_schema() -> dict[str, Any]:
    """JSON schema of a recipe, for editors."""
    return Recipe.model_json_schema()


def dump_recipe(recipe: Recipe | PretrainRecipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _load(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    if not path.is_file():
        raise RecipeError(f"no recipe at {path}", hint="`tribetune recipe ls` lists the recipes that ship")
    if path.stat().st_size > _MAX_BYTES:
        raise RecipeError(f"{path} has {path.stat().st_size:,} bytes: not a recipe", hint="a recipe is a page of YAML")
    try:
        values = _plain_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} is not readable YAML: {error}", hint="compare with `tribetune recipe show`"
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(
            f"{path} holds {type(values).__name__}, not keys and values", hint="see `tribetune recipe ls`"
        )
    for override in overrides:
        _override(values, override)
    return values


def _plain_yaml(text: str) -> Any:
    """Safe YAML without aliases: a recipe needs none, and nested ones grow without bound when checked."""
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise yaml.YAMLError(
                f"line {token.start_mark.line + 1}: aliases (*{token.value}) are not allowed in a recipe"
            )
    return yaml.safe_load(text)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r} is not KEY=VALUE", hint="for instance --set adaptation.rank=4")
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise RecipeError(
                f"--set {override!r}: {section!r} is a value, not a section", hint="see the recipe's keys"
            )
    try:
        # YAML reads 01 as the number 1, but a leading zero means a label.
        place[last] = text if re.fullmatch(r"0\d+", text) else _plain_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML", hint="quote it") from error


def _check(kind: type[AnyRecipe], values: dict[str, Any], where: str) -> AnyRecipe:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = [_fault(kind, values, dict(fault)) for fault in error.errors()]
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise RecipeError(f"{where} has {count}: " + "; ".join(faults), hint=_hint(kind, values)) from None


def _hint(kind: type[BaseModel], values: Mapping[str, Any]) -> str:
    if kind is PretrainRecipe:
        return "compare with `tribetune recipe show pretrain-toy`"
    if _is_for_pretraining(values):
        return "this is a recipe for `tribetune pretrain`"
    return "`tribetune recipe schema` lists every key"


def _is_for_pretraining(values: Mapping[str, Any]) -> bool:
    return bool({"pretraining", "cohort"} & set(values))


def _fault(kind: type[BaseModel], values: dict[str, Any], fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in _written_path(values, fault["loc"])) or "recipe"
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), sorted(_keys(kind)), n=1)
        return f"{place}: unknown key" + (f", did you mean {near[0]!r}?" if near else "")
    if fault["type"] == "missing":
        return f"{place}: missing"
    got = fault.get("input")
    shown = f", got {got!r}" if isinstance(got, str | int | float | bool) else ""
    return f"{place}: {fault['msg'].removeprefix('Value error, ')}{shown}"


def _written_path(values: Any, place: Sequence[str | int]) -> list[str | int]:
    """A fault's path as the recipe has it: pydantic's also names the chosen member of a union."""
    written, here = [], values
    for part in place[:-1]:
        if isinstance(here, dict) and part not in here:
            continue
        written.append(part)
        here = here[part] if isinstance(here, dict | list) else None
    return [*written, *place[-1:]]


def _keys(kind: type[BaseModel]) -> set[str]:
    return set(_walk(kind.model_json_schema()))


def _walk(schema: Mapping[str, Any]) -> Iterator[str]:
    yield from schema.get("properties", {})
    for part in schema.get("$defs", {}).values():
        yield from part.get("properties", {})

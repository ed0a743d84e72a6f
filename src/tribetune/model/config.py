"""What a Tribe is made of, and where its checkpoint comes from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from tribetune.errors import CheckpointError

MIN_DIM_HEAD = 32
"""Narrowest attention head: the rotary embedding turns at least this many channels (spec a.8)."""


@dataclass(frozen=True)
class TribeConfig:
    """Sizes of a Tribe, the rates of its training noise, and its provenance.

    The first four and ``rows`` have no sensible default; everything else defaults to what the released TRIBE v2 uses.
    """

    modalities: Mapping[str, tuple[int, int] | None]
    """Modality to (layers, dim) in the order of concatenation; None for a modality that has a place but no features."""
    hidden: int
    """Width of the trunk."""
    depth: int
    """Pairs of attention and feed-forward in the trunk."""
    heads: int
    """Attention heads of ``hidden // heads`` channels each."""
    n_outputs: int
    """Columns of the BOLD that the readout predicts."""
    rows: int
    """Readout rows, the unseen row included."""
    unseen_row: bool = True
    """Whether the last row is the unseen subject's."""
    low_rank: int | None = None
    """Width of the low-rank layer before the readout; None for no such layer."""
    layer_aggregation: Literal["cat", "mean"] = "cat"
    """How an encoder's layers become one vector per step."""
    combiner: bool = False
    """Whether a linear layer mixes the concatenated modalities."""
    temporal_smoothing: int | None = None
    """Kernel, in steps, of a depthwise convolution over time; None for no smoothing."""
    time_embedding: bool = True
    """Whether every step of the window has a learned embedding."""
    ff_mult: int = 4
    """Width of the feed-forward layers, in multiples of ``hidden``."""
    max_steps: int = 1024
    """Longest window, in feature steps."""
    modality_dropout: float = 0.0
    """Probability, in training, that a sample loses a modality."""
    temporal_dropout: float = 0.0
    """Probability, in training, that a sample loses a step of all modalities."""
    subject_dropout: float = 0.0
    """Probability, in training, that a sample is read out by the unseen row."""
    dropout: float = 0.0
    """Dropout of attention, feed-forward and whole sublayers of the trunk."""
    space: str = "table"
    """Space of the outputs."""
    subjects: list[str] = field(default_factory=list)
    """Names of the readout rows, the unseen row left out; empty when unknown."""
    lag_s: float = 5.0
    """Hemodynamic lag of the training targets, in seconds."""
    cleaning: str = "tribe"
    """How the training targets were cleaned; ``tribe`` is TRIBE v2's own: a line and a scale, no confounds."""
    encoders: dict[str, Any] = field(default_factory=dict)
    """Per modality, the encoder and the layers that made its features; plain JSON values."""
    licence: str = "other"
    """Licence of the weights, as the hub writes it; adapters inherit it."""

    def __post_init__(self) -> None:
        faults = _size_faults(self) + _rate_faults(self)
        if faults:
            raise CheckpointError("model config: " + "; ".join(faults), hint="check the sizes in config.json")

    @property
    def width(self) -> int:
        """Channels each modality has in the concatenation."""
        return self.hidden // len(self.modalities)

    @property
    def dim_head(self) -> int:
        """Channels of one attention head."""
        return self.hidden // self.heads

    @property
    def readout_in(self) -> int:
        """Channels the readout reads."""
        return self.hidden if self.low_rank is None else self.low_rank

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, in the order of the fields."""
        plain = asdict(self)
        plain["modalities"] = {name: None if size is None else list(size) for name, size in self.modalities.items()}
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TribeConfig":
        """Read back ``to_dict``.

        Raises
        ------
        CheckpointError
            If a key is unknown or missing, or a value has the wrong kind or does not make a model.
        """
        unknown = sorted(set(values) - {one.name for one in fields(cls)})
        if unknown:
            raise CheckpointError(
                f"model config: unknown key {unknown[0]!r}",
                hint="written by a newer tribetune? pip install -U tribetune",
            )
        try:
            plain: dict[str, Any] = dict(values)
            plain["modalities"] = modality_sizes(values["modalities"])
            return cls(**plain)
        except (TypeError, ValueError, AttributeError, LookupError) as fault:
            raise CheckpointError(
                f"model config: {fault}", hint="check config.json against a known good one"
            ) from fault


def modality_sizes(read: Mapping[str, Any]) -> dict[str, tuple[int, int] | None]:
    """Modality to (layers, dim) from a file, where pairs may be lists."""
    pairs = {name: None if size is None else tuple(size) for name, size in read.items()}
    wrong = [
        name for name, size in pairs.items() if size is not None and (len(size) != 2 or not all(map(_count, size)))
    ]
    if wrong:
        raise CheckpointError(
            f"modality {wrong[0]} has size {pairs[wrong[0]]}, expected (layers, dim)", hint="get the original file"
        )
    return {str(name): None if size is None else (size[0], size[1]) for name, size in pairs.items()}


def _size_faults(config: TribeConfig) -> list[str]:
    counts = {name: getattr(config, name) for name in ("hidden", "depth", "heads", "n_outputs", "rows", "max_steps")}
    counts |= {"ff_mult": config.ff_mult}
    counts |= {name: size for name in ("low_rank", "temporal_smoothing") if (size := getattr(config, name)) is not None}
    faults = [
        f"{name} is {got!r}, expected a whole number of at least 1" for name, got in counts.items() if not _count(got)
    ]
    sizes = [size for size in config.modalities.values() if size is not None]
    if not sizes or any(min(size) < 1 for size in sizes):
        faults.append(f"modalities are {dict(config.modalities)}, expected at least one with (layers, dim)")
    return faults or _structure_faults(config)


def _structure_faults(config: TribeConfig) -> list[str]:
    n_modalities, faults = len(config.modalities), []
    concatenated = n_modalities * config.width
    if config.dim_head < MIN_DIM_HEAD:
        faults.append(
            f"{config.heads} heads of {config.dim_head} channels, expected at least {MIN_DIM_HEAD} channels each"
        )
    if config.width < 1:
        faults.append(f"hidden is {config.hidden}, expected at least one channel for each of {n_modalities} modalities")
    if concatenated != config.hidden and (not config.combiner or config.temporal_smoothing):
        faults.append(f"hidden is {config.hidden}, expected a multiple of the {n_modalities} modalities (no combiner)")
    if config.layer_aggregation not in ("cat", "mean"):
        faults.append(f"layer_aggregation is {config.layer_aggregation!r}, expected 'cat' or 'mean'")
    if config.subject_dropout and not config.unseen_row:
        faults.append("subject_dropout needs an unseen row")
    if config.subjects and len(config.subjects) != config.rows - config.unseen_row:
        faults.append(f"{len(config.subjects)} subjects for {config.rows} rows (unseen row: {config.unseen_row})")
    return faults


def _rate_faults(config: TribeConfig) -> list[str]:
    rates = ("modality_dropout", "temporal_dropout", "subject_dropout", "dropout")
    return [
        f"{name} is {got!r}, expected a probability"
        for name in rates
        if not isinstance(got := getattr(config, name), int | float) or not 0 <= got <= 1
    ]


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1

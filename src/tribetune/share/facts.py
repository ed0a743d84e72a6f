"""What ``tribetune.json`` says: its schema by version, and a reader that refuses what it does not know."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from tribetune.errors import AdaptationError

FORMAT = 3
"""Version of the bundle's layout. 1 had no hashes, and LoRA matrices without peft's prefix; from 3 on a readout for
another space than the checkpoint's began from what the unseen row has of it, before from zero."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Interval = Annotated[list[float | None], Field(min_length=2, max_length=2)]
Consent = Literal["public", "research", "project"]
Count = Annotated[int, Field(ge=0)]

CONSENT: Mapping[Consent, str] = {
    "public": "anyone may have and use it",
    "research": "researchers may have it on request, for research only",
    "project": "only those who work on this project may have it",
}
"""What the subject agreed to, by the word that stands for it."""


class _Part(BaseModel):
    """Known keys have their type; keys that a minor version adds are kept."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)


class Base(_Part):
    """The checkpoint that was adapted."""

    name: str | None = None
    hash: str
    licence: str = "other"
    id: str | None = None
    """On the hub."""
    revision: str | None = None
    """The hub's commit."""


class Difference(_Part):
    """Mean difference in r from a baseline, with its 95 % interval."""

    mean: float | None
    interval: Interval


class Scores(_Part):
    """Held-out scores; None where undefined."""

    mean_r: float | None
    interval: Interval
    n_outputs: Count
    null_95: float | None = None
    delta_zero_shot: Difference | None = None
    delta_fir: Difference | None = None


class SplitFacts(_Part):
    """Which runs were trained on, chosen on and reported."""

    by: str
    training: list[str]
    validation: list[str]
    test: list[str]
    gap_s: float | None = None


class Ceiling(_Part):
    """The noise ceiling that scores stand beside."""

    kind: Literal["repeat", "split-half", "inter-subject"]
    mean_r: float | None = None
    """Over the outputs where it is reliably above zero."""
    n_outputs: int = 0


class Leakage(_Part):
    """What was looked for, and what was found."""

    checked: list[str]
    found: list[str]
    allowed: str = ""
    """Why the adapter was made in spite of what was found."""


class Sharing(_Part):
    """What the subject agreed to, under which licence, and whom to ask."""

    consent: Consent
    licence: Annotated[str, Field(min_length=1)]
    contact: str | None = None


class Probe(_Part):
    """What the adapted model predicted for made-up features, to be predicted again by whoever fetched it."""

    seed: Count
    n_trs: Annotated[int, Field(ge=1, le=1000)]
    sha256: Hash
    places: list[list[Count]]
    values: list[float]
    spread: float


class FileFacts(_Part):
    """A file of the bundle."""

    sha256: Hash
    size: Count


class Facts(_Part):
    """All that an adapter says about itself."""

    format: Literal[1, 2, 3]
    method: str
    space: str
    base: Base | None = None
    trained_weights: Count = 0
    chosen: dict[str, JsonValue] = {}
    calibration_minutes: float | None = None
    runs: list[str] = []
    t_r: float | None = None
    n_outputs: Count | None = None
    cleaning: str | None = None
    cleaning_choices: dict[str, JsonValue] = {}
    lag_s: float | None = None
    window_s: float | None = None
    modalities: list[str] = []
    encoders: str | None = None
    encoder_identities: dict[str, str] = {}
    split: SplitFacts | None = None
    ceiling: Ceiling | None = None
    scores: Scores | None = None
    verdict: str | None = None
    leakage: Leakage | None = None
    sharing: Sharing | None = None
    probe: Probe | None = None
    files: dict[str, FileFacts] = {}


def check_facts(values: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Hold facts against the schema.

    Parameters
    ----------
    values : mapping
        Plain values, of any version that is known.
    where : Path
        The file, for messages.

    Returns
    -------
    dict
        The same values; what is not told is not there.

    Raises
    ------
    AdaptationError
        If the version is not known, or a value is missing or of the wrong type; all such are named.
    """
    version = values.get("format")
    if type(version) is not int or not 1 <= version <= FORMAT:
        hint = "pip install -U tribetune" if isinstance(version, int) and version > FORMAT else "fetch it again"
        raise AdaptationError(f"{where}: format {version!r}, this tribetune reads 1 to {FORMAT}", hint=hint)
    try:
        Facts.model_validate(dict(values))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise AdaptationError(f"{where}: {'; '.join(faults)}", hint="fetch the adapter again") from None
    return dict(values)


def people(facts: Mapping[str, Any]) -> list[str]:
    """Subjects whose brain data an adapter is derived from (``sub-01``), by the names of its runs."""
    names = dict.fromkeys(run.split("_")[0] for run in facts.get("runs") or [])
    return [name for name in names if name.startswith("sub-")]

"""`tribetune predict`: a stimulus in, predicted BOLD out, by one subject's adapter or for the unseen subject."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.uncertainty import Uncertainty
from tribetune.bold.write import write_prediction
from tribetune.errors import AdaptationError, CheckpointError, StimulusError
from tribetune.evaluate.predict import Cut, predict_deviation, predict_run
from tribetune.features.extract import extract
from tribetune.model.checkpoint import checkpoint_hash, find_checkpoint
from tribetune.model.inputs import longest_window
from tribetune.model.tribe import Tribe
from tribetune.progress import Progress, Silent
from tribetune.share.bundle import load_adapter, read_facts
from tribetune.share.hub import find_adapter
from tribetune.share.uncertainty import load_uncertainty
from tribetune.stimulus.timeline import timeline_of_files
from tribetune.study.prepare import check_usable, encoders_of
from tribetune.timing import FEATURE_HZ
from tribetune.windows import WINDOW_S, joined_how, without_bold


@dataclass(frozen=True)
class PredictOptions:
    """How a stimulus is predicted.

    Attributes
    ----------
    overlap_s : float
        Overlap of windows in seconds, averaged; 0 joins windows end to end, as the reference does.
    encoders : str
        As ``features.encoders`` of a recipe; ``checkpoint`` means the adapter's own where there is one.
    store : Path
        Folder where features are kept.
    device : str
        Of the encoders.
    interval : bool
        Whether the standard deviation of BOLD about the prediction is written, too.
    subject : str
        A readout row of the checkpoint, by its name; the unseen subject's when empty.
    """

    overlap_s: float = 0.0
    encoders: str = "checkpoint"
    store: Path = Path("cache/features")
    device: str = "auto"
    subject: str = ""
    interval: bool = False


def predict(
    checkpoint: str,
    adapter: str | Path | None,
    stimulus: tuple[Sequence[Path], Path | None],
    out: Path,
    options: PredictOptions | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Predict BOLD at 1 Hz for one stimulus.

    Parameters
    ----------
    checkpoint : str
        Name, folder or id on the hub.
    adapter : str or Path, optional
        One subject's adapter: a folder, a URL, or an id on the hub; the unseen subject when left out.
    stimulus : (sequence of Path, Path or None)
        A film and/or a sound, and its word timings. Any subset of modalities; what is absent is absent to the model.
    out : Path
        Folder of the predictions.
    options : PredictOptions, optional
    progress : Progress, optional

    Returns
    -------
    list of Path
        Files written: sample t is BOLD at stimulus time t plus the lag that the JSON beside them states.

    Raises
    ------
    TribetuneError
        If the checkpoint, the adapter or the stimulus cannot be used.
    """
    options, progress = options or PredictOptions(), progress or Silent()
    progress.step("Opening the checkpoint")
    place = find_checkpoint(checkpoint)
    tribe = Tribe.from_pretrained(place).requires_grad_(False).eval()
    named_row = _row_of(tribe, options.subject, adapter)
    bundle = find_adapter(adapter) if adapter else None
    fitted = load_adapter(bundle, checkpoint_hash(place)) if bundle else Adapter("zero-shot")
    sure = _uncertainty(tribe, fitted, bundle) if options.interval else None
    told = group_facts(tribe) | (read_facts(bundle) if bundle else {})
    window_s = told["window_s"]
    _check_overlap(options.overlap_s, window_s)
    timeline = timeline_of_files(*stimulus)
    modalities = told["modalities"]
    check_usable(tribe, timeline, modalities, "the stimulus")
    progress.step("Extracting features")
    chosen = encoders_of(tribe, told["encoders"] if options.encoders == "checkpoint" else options.encoders)
    features = extract(timeline, chosen, modalities, options.store, options.device, progress.advance)
    windows = joined_how(window_s, options.overlap_s)
    progress.step(f"Predicting: {windows}")
    model, row = fitted.apply(tribe), 0 if fitted.tensors else named_row
    cut = Cut(window_s, window_s - options.overlap_s)
    values = predict_run(model, without_bold(features), row, cut)
    facts = {"HemodynamicLag": told["lag_s"], "Windows": windows}
    whose = options.subject.replace("-", "") or fitted.method
    files = write_prediction(values, told["space"], out, f"{_stem(stimulus)}_desc-{whose}", facts)
    if sure is not None:
        values = predict_deviation(model, sure, without_bold(features), cut)
        said = {"Statistic": "standard deviation of BOLD about the prediction", "Covers": sure.covers}
        files += write_prediction(values, told["space"], out, f"{_stem(stimulus)}_stat-std_desc-{whose}", facts | said)
    return files


def group_facts(tribe: Tribe) -> dict[str, Any]:
    """What an adapter's facts would say of the unseen subject."""
    config = tribe.config
    return {
        "modalities": [name for name, size in config.modalities.items() if size is not None],
        "encoders": "checkpoint",
        "space": config.space,
        "lag_s": config.lag_s,
        "window_s": min(WINDOW_S, float(longest_window(config) // FEATURE_HZ)),
    }


def _uncertainty(tribe: Tribe, fitted: Adapter, bundle: Path | None) -> Uncertainty:
    if bundle is None:
        raise AdaptationError(
            "how far BOLD lies from the group's prediction is not known: it differs from subject to subject",
            hint="give a subject's adapter by --adapter",
        )
    config = fitted.apply(tribe).config
    return load_uncertainty(bundle, config.readout_in, config.n_outputs)


def _row_of(tribe: Tribe, subject: str, adapter: str | Path | None) -> int | None:
    """The readout row of a subject whom the checkpoint knows; None for the unseen one."""
    if not subject:
        return None
    if adapter:
        raise AdaptationError("an adapter and a subject of the checkpoint: whose prediction?", hint="give one of them")
    names = tribe.config.subjects
    if subject not in names:
        raise CheckpointError(
            f"the checkpoint has no row for {subject!r}; its rows are of: {', '.join(names) or 'no named subject'}",
            hint="leave --subject out for the unseen subject",
        )
    return names.index(subject)


def _check_overlap(overlap_s: float, window_s: float) -> None:
    if not 0 <= overlap_s < window_s or overlap_s != round(overlap_s):
        raise StimulusError(
            f"an overlap of {overlap_s:g} s, expected whole seconds below {window_s:g}",
            hint=f"--overlap {window_s // 2:g}",
        )


def _stem(stimulus: tuple[Sequence[Path], Path | None]) -> str:
    files, words = stimulus
    return next((path.stem for path in [*files, words] if path), "stimulus")

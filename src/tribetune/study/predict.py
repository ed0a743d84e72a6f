"""`tribetune predict`: a stimulus in, predicted BOLD out, by one subject's adapter or for the unseen subject."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tribetune.adapt.adapter import Adapter
from tribetune.bold.write import write_prediction
from tribetune.errors import FeatureError, StimulusError
from tribetune.evaluate.predict import predict_run
from tribetune.features.extract import extract
from tribetune.model.checkpoint import checkpoint_hash
from tribetune.model.tribe import Tribe
from tribetune.progress import Progress, Silent
from tribetune.recipe import FeatureChoice
from tribetune.share.bundle import load_adapter, read_facts
from tribetune.stimulus.timeline import Timeline, timeline_of_files
from tribetune.study.prepare import encoders_of
from tribetune.windows import WINDOW_S, without_bold


@dataclass(frozen=True)
class PredictOptions:
    """How a stimulus is predicted.

    Attributes
    ----------
    overlap_s : float
        Overlap of windows in seconds, averaged; 0 joins windows end to end, as the reference does.
    encoders : str
        As ``features.encoders`` of a recipe.
    store : Path
        Folder where features are kept.
    device : str
        Of the encoders.
    """

    overlap_s: float = 0.0
    encoders: str = "checkpoint"
    store: Path = Path("cache/features")
    device: str = "auto"


def predict(
    checkpoint: str,
    adapter: Path | None,
    stimulus: tuple[Sequence[Path], Path | None],
    out: Path,
    options: PredictOptions | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Predict BOLD at 1 Hz for one stimulus.

    Parameters
    ----------
    checkpoint : str
        Name or folder.
    adapter : Path, optional
        Folder of one subject's adapter; the unseen subject when left out.
    stimulus : (sequence of Path, Path or None)
        A film and/or a sound, and its word timings. Any subset of modalities; what is absent is absent to the model.
    out : Path
        Folder of the predictions.
    options : PredictOptions, optional
    progress : Progress, optional

    Returns
    -------
    list of Path
        Files written: sample t is BOLD at stimulus time t plus the checkpoint's lag.

    Raises
    ------
    TribetuneError
        If the checkpoint, the adapter or the stimulus cannot be used.
    """
    options, progress = options or PredictOptions(), progress or Silent()
    if not 0 <= options.overlap_s < WINDOW_S or options.overlap_s != round(options.overlap_s):
        raise StimulusError(
            f"an overlap of {options.overlap_s:g} s, expected whole seconds below {WINDOW_S:g}", hint="--overlap 50"
        )
    progress.step("Opening the checkpoint")
    tribe = Tribe.from_pretrained(checkpoint).requires_grad_(False).eval()
    fitted = load_adapter(adapter, checkpoint_hash(checkpoint)) if adapter else Adapter("zero-shot")
    wanted = read_facts(adapter).get("modalities") if adapter else None
    timeline = timeline_of_files(*stimulus)
    progress.step("Extracting features")
    choice = FeatureChoice(encoders=options.encoders, store=options.store)
    modalities = [name for name in (wanted or tribe.config.modalities) if tribe.config.modalities[name]]
    _check_usable(timeline, modalities)
    features = extract(
        timeline, encoders_of(tribe, choice), modalities, options.store, options.device, progress.advance
    )
    progress.step("Predicting")
    model, row = fitted.apply(tribe), 0 if fitted.tensors else None
    values = predict_run(model, without_bold(features), row, window_s=WINDOW_S, stride_s=WINDOW_S - options.overlap_s)
    space = read_facts(adapter)["space"] if adapter else tribe.config.space
    return write_prediction(values, space, out, f"{_stem(stimulus)}_desc-{fitted.method}")


def _check_usable(timeline: Timeline, modalities: Sequence[str]) -> None:
    kinds = {"video": "video", "audio": "audio", "text": "word"}
    if not any(timeline.of_kind(kinds[name]) for name in modalities):
        raise FeatureError(
            f"the stimulus has none of the modalities that the model uses ({', '.join(modalities)})",
            hint="give a film, a sound, or --words with word timings",
        )


def _stem(stimulus: tuple[Sequence[Path], Path | None]) -> str:
    files, words = stimulus
    return next((path.stem for path in [*files, words] if path), "stimulus")

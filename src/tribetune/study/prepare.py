"""From a recipe to aligned runs, split and cut: what every method and baseline starts from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tribetune.bold.clean import clean
from tribetune.bold.find import events_file, find_runs
from tribetune.bold.read import read_run
from tribetune.bold.run import Run
from tribetune.bold.tables import TableSpec, list_table_runs, list_table_subjects, read_table
from tribetune.errors import BoldError, FeatureError, LeakageError, StimulusError
from tribetune.features.encoders import Encoders, encoders, named_set
from tribetune.features.extract import EVENT_KINDS, extract
from tribetune.model.checkpoint import checkpoint_hash
from tribetune.model.inputs import longest_window
from tribetune.model.tribe import Tribe
from tribetune.progress import Progress
from tribetune.recipe.schema import BlockSplit, Data, Recipe, Tables
from tribetune.splits import Split, check_enough, limit_calibration, split_by_block, split_by_run, windows_of
from tribetune.stimulus.timeline import Timeline, timeline_of_events, timeline_of_files
from tribetune.study.provenance import short_names
from tribetune.timing import FEATURE_HZ
from tribetune.windows import AlignedRun, Window, align

OWN_FOLDER = "a folder"
"""What an adapter says of encoders that are a lab's own: where they lie is nobody's business."""


@dataclass(frozen=True)
class Prepared:
    """A study, ready to fit.

    Attributes
    ----------
    recipe : Recipe
    tribe : Tribe
        The frozen checkpoint.
    base : mapping
        Its name and hash.
    split : Split
        Aligned runs for training, validation and test.
    inputs : tuple of Path
        Every BOLD and media file that was read.
    timelines : mapping of run label to str
        Hash of each run's events and words.
    encoders : str
        Name or folder of the encoders that made the features.
    notes : list of str
        What a reader of the results must know.
    """

    recipe: Recipe
    tribe: Tribe
    base: Mapping[str, Any]
    split: Split
    inputs: tuple[Path, ...]
    timelines: Mapping[str, str]
    encoders: str
    notes: list[str] = field(default_factory=list)

    @cached_property
    def calibration(self) -> list[Window]:
        """The training windows."""
        windows = self.recipe.windows
        return windows_of(self.split.training, windows.duration_s, windows.stride_s)

    @property
    def calibration_minutes(self) -> float:
        """Minutes of valid BOLD that is trained on."""
        return self.split.calibration_minutes

    @property
    def has_zero_shot(self) -> bool:
        """Whether the checkpoint's unseen row predicts these outputs."""
        config = self.tribe.config
        n_outputs = self.split.test[0].aligned.bold.shape[1]
        return config.unseen_row and config.space == self.recipe.data.space and config.n_outputs == n_outputs

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the results beside the recipe."""
        found = {name: path.stat() for name, path in sorted(short_names(self.inputs).items())}
        stats = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}
        return {"checkpoint": self.base["hash"], "inputs": stats, "timelines": self.timelines}

    @property
    def facts(self) -> dict[str, Any]:
        """What an adapter's ``tribetune.json`` says about where it came from."""
        data = self.recipe.data
        return {
            "base": dict(self.base),
            "calibration_minutes": self.calibration_minutes,
            "runs": [part.aligned.label for part in self.split.training],
            "space": data.space,
            "n_outputs": int(self.split.test[0].aligned.bold.shape[1]),
            "cleaning": data.cleaning,
            "lag_s": self.recipe.windows.hemodynamic_lag_s,
            "window_s": self.recipe.windows.duration_s,
            "modalities": list(self.recipe.features.modalities),
            "encoders": self.encoders if Path(self.encoders).name == self.encoders else OWN_FOLDER,
        }

    def held_out(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Mask (n_samples,), BOLD (n_samples, n_outputs) and run of every sample of the test parts, in order."""
        parts = self.split.test
        mask = np.concatenate([part.mask[slice(*part.span)] for part in parts])
        bold = np.concatenate([part.aligned.bold[slice(*part.span)] for part in parts])
        return mask, bold, [part.aligned.label for part in parts for _ in range(*part.span)]


def prepare(recipe: Recipe, progress: Progress) -> Prepared:
    """Read everything that a recipe names, extract features, align and split.

    Raises
    ------
    TribetuneError
        Of the kind of what is at fault.
    """
    tribe = Tribe.from_pretrained(recipe.checkpoint).requires_grad_(False).eval()
    base = {"name": Path(recipe.checkpoint).name, "hash": checkpoint_hash(recipe.checkpoint)}
    base["licence"] = tribe.config.licence
    notes: list[str] = []
    runs = table_runs(recipe.data, notes) if recipe.data.tables else bids_runs(recipe.data)
    check_window(tribe, recipe.windows.duration_s)
    if recipe.windows.hemodynamic_lag_s != tribe.config.lag_s:
        notes.append(
            f"The checkpoint was trained at a lag of {tribe.config.lag_s:g} s, this study's is"
            f" {recipe.windows.hemodynamic_lag_s:g} s: its predictions come as much too early or late."
        )
    for run, timeline in runs:
        check_usable(tribe, timeline, recipe.features.modalities, run.label)
    chosen = encoders_of(tribe, recipe.features.encoders)
    aligned = []
    for run, timeline in runs:
        progress.advance(f"Features of {run.label}", 0.0)
        aligned.append(_aligned(recipe, clean(run, recipe.data.cleaning), timeline, chosen, progress))
    split = limit_calibration(_split(recipe, aligned), recipe.data.calibration_minutes)
    check_enough(split, recipe.windows.duration_s)
    _check_stimuli(split, {run.label: _stimuli(timeline) for run, timeline in runs})
    media = [event.file for _, timeline in runs for event in timeline.events if event.file]
    inputs = [path for run, _ in runs for path in run.sources] + media
    timelines = {run.label: _digest(timeline) for run, timeline in runs}
    return Prepared(recipe, tribe, base, split, tuple(dict.fromkeys(inputs)), timelines, chosen.name, notes)


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


def check_usable(tribe: Tribe, timeline: Timeline, modalities: Sequence[str], where: str) -> None:
    """Refuse modalities that the model does not know, and a stimulus that has none of those it uses.

    Raises
    ------
    FeatureError
        Before anything is extracted.
    """
    known = [name for name, size in tribe.config.modalities.items() if size is not None]
    unknown = [name for name in modalities if name not in known]
    if unknown:
        raise FeatureError(
            f"the checkpoint does not use {' and '.join(unknown)}, only {', '.join(known)}",
            hint=f"set features.modalities to [{', '.join(known)}]",
        )
    if not any(timeline.of_kind(EVENT_KINDS[name]) for name in modalities):
        raise FeatureError(
            f"{where} has none of the modalities that the model uses ({', '.join(modalities)})",
            hint="give a film, a sound, or word timings",
        )


def bids_runs(data: Data) -> list[tuple[Run, Timeline]]:
    """Every run of the recipe's subject with its timeline."""
    bids = Path(str(data.bids))
    return [
        (read_run(files), timeline_of_events(events_file(files), bids / "stimuli"))
        for files in find_runs(bids, data.subject, data.task, data.space, data.session)
    ]


def table_runs(data: Data, notes: list[str]) -> list[tuple[Run, Timeline]]:
    """Every run of the recipe's subject in its tables, with the timeline on the clock of its first volume."""
    tables = data.tables
    if tables is None:
        raise BoldError("no tables in the recipe", hint="set data.tables.path")
    spec = TableSpec(**tables.model_dump(exclude={"media", "words"}))
    usable = list_table_subjects(spec)
    if len(usable) > 1:
        notes.append(f"{len(usable)} subjects have a usable table; this is sub-{data.subject}.")
    found = []
    for name in list_table_runs(spec, data.subject):
        run = read_table(spec, data.subject, name)
        found.append((run, _table_stimulus(tables, data.subject, name).shifted(-run.first_volume_s)))
    return found


def _table_stimulus(tables: Tables, subject: str, run: str) -> Timeline:
    """The film, sound and words of one run; an NPZ table without other stimulus carries its own words."""
    media, words = tables.media, tables.words
    if not (media or words) and tables.path.endswith(".npz"):
        words = tables.path
    if not (media or words):
        raise StimulusError("the tables come without a stimulus", hint="set data.tables.words or data.tables.media")
    paths = [
        Path(name.replace("{subject}", subject).replace("{run}", run)) if name else None for name in (media, words)
    ]
    return timeline_of_files([paths[0]] if paths[0] else [], paths[1])


def encoders_of(tribe: Tribe, name: str) -> Encoders:
    """The encoders that a recipe asks for; ``checkpoint`` means those that made the checkpoint's features.

    Raises
    ------
    FeatureError
        If the checkpoint does not say.
    """
    if name == OWN_FOLDER:
        raise FeatureError("the adapter was fitted with encoders in a folder", hint="give that folder by --encoders")
    if name != "checkpoint":
        return encoders(name)
    told = tribe.config.encoders
    named = {facts.get("encoders") for facts in told.values()}
    if len(named) == 1 and None not in named:
        return encoders(named.pop())
    # An official file names its models instead.
    official = named_set({modality: facts.get("model_name", "") for modality, facts in told.items()})
    if official is None:
        raise FeatureError(
            "the checkpoint does not say which encoders made its features",
            hint="set features.encoders to released, mini, tiny or a folder",
        )
    return encoders(official)


def _aligned(recipe: Recipe, run: Run, timeline: Timeline, chosen: Encoders, progress: Progress) -> AlignedRun:
    choice = recipe.features
    features = extract(
        timeline,
        chosen,
        choice.modalities,
        choice.store,
        choice.device,
        lambda what, share: progress.advance(f"{run.label}: {what}", share),
    )
    return align(run, timeline, features, recipe.windows.hemodynamic_lag_s)


def _check_stimuli(split: Split, stimuli: Mapping[str, set[str]]) -> None:
    """Refuse a test run whose film, sound or words a training run shows, too."""
    for test in split.test:
        for training in split.training:
            one, other = test.aligned.label, training.aligned.label
            if one != other and stimuli[one] & stimuli[other]:
                raise LeakageError(
                    f"{one} is held out, but {other}, which is trained on, has the same stimulus",
                    hint="put both on the same side of data.split",
                )


def _stimuli(timeline: Timeline) -> set[str]:
    """What a run shows: its media files, and its words as one."""
    words = " ".join(event.text for event in timeline.of_kind("word"))
    return {str(event.file.resolve()) for event in timeline.events if event.file} | ({words} if words else set())


def _digest(timeline: Timeline) -> str:
    """Hash of what happens when; where the files lie does not matter."""
    rows = [(e.kind, e.onset_s, e.duration_s, e.text, e.sentence, e.sentence_char) for e in timeline.events]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _split(recipe: Recipe, aligned: list[AlignedRun]) -> Split:
    choice = recipe.data.split
    if not isinstance(choice, BlockSplit):
        return split_by_run(aligned, choice.validation, choice.test)
    if len(aligned) != 1:
        raise BoldError(
            f"{len(aligned)} runs, but data.split.by is `block`, which splits a single run", hint="set it to `run`"
        )
    return split_by_block(aligned[0], choice.test, choice.validation, choice.gap_s, recipe.windows.duration_s)

"""From a recipe to aligned runs, split and cut: what every method and baseline starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from tribetune.adapt.base import Base
from tribetune.adapt.rows import has_unseen
from tribetune.arrays import hash_plain
from tribetune.errors import FeatureError
from tribetune.features.encoders import Encoders, encoders, named_set, pick_device
from tribetune.features.extract import EVENT_KINDS, Features, extract
from tribetune.model.checkpoint import checkpoint_hash, find_checkpoint, identify
from tribetune.model.tribe import Tribe
from tribetune.progress import Progress
from tribetune.recipe.data import BlockSplit
from tribetune.recipe.schema import Recipe
from tribetune.spaces import Space
from tribetune.splits import Part, Split, windows_of
from tribetune.study.bold import Reader
from tribetune.study.fitting import check_outputs, check_window, from_nothing, has_row, mismatches
from tribetune.study.provenance import short_names
from tribetune.study.runs import StudyRun, aligned_run, study_runs
from tribetune.study.splitting import split_runs
from tribetune.study.stimuli import check_usable, timeline_digest
from tribetune.windows import Window

OWN_FOLDER = "a folder"
"""What an adapter says of encoders that are a lab's own: where they lie is nobody's business."""


@dataclass(frozen=True)
class Prepared:
    """A study, ready to fit.

    Attributes
    ----------
    recipe : Recipe
    trunk : Base
        The frozen checkpoint; its trunk's output is kept beside the features.
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
    runs : mapping of run label to StudyRun
        Every run, its cleaned BOLD still to be read.
    notes : list of str
        What a reader of the results must know.
    identities : mapping of modality to str
        Hash of all that decides what its encoder makes; none of features that were imported.
    leakage : dict
        What the leak guard looked for and found, and why leaks were allowed; empty before it looked.
    repeats : tuple of Part
        Stretches of one length that show the same clip, in no part of the split.
    """

    recipe: Recipe
    trunk: Base
    base: Mapping[str, Any]
    split: Split
    inputs: tuple[Path, ...]
    timelines: Mapping[str, str]
    encoders: str
    runs: Mapping[str, StudyRun] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    identities: Mapping[str, str] = field(default_factory=dict)
    leakage: dict[str, Any] = field(default_factory=dict)
    repeats: tuple[Part, ...] = ()

    @property
    def tribe(self) -> Tribe:
        """The frozen checkpoint's model."""
        return self.trunk.tribe

    @cached_property
    def calibration(self) -> list[Window]:
        """The training windows."""
        windows = self.recipe.windows
        return windows_of(self.split.training, windows.duration_s, windows.stride_s)

    @property
    def keys(self) -> dict[str, str]:
        """Hash of all that made each run's cleaned BOLD; none of tables."""
        return {label: run.key for label, run in self.runs.items() if run.key}

    @property
    def calibration_minutes(self) -> float:
        """Minutes of valid BOLD that is trained on."""
        return self.split.calibration_minutes

    @property
    def has_zero_shot(self) -> bool:
        """Whether the checkpoint's unseen row predicts these outputs."""
        n_outputs = self.split.test[0].aligned.bold.shape[1]
        return self.tribe.config.space == self.recipe.data.space and has_unseen(self.tribe, n_outputs)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the results beside the recipe."""
        found = {name: path.stat() for name, path in sorted(short_names(self.inputs).items())}
        stats = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}
        return {
            "checkpoint": self.base["hash"], "inputs": stats, "timelines": self.timelines, "bold": dict(self.keys)
        }  # fmt: skip

    @cached_property
    def in_means(self) -> Bool[np.ndarray, " output"]:
        """False for ventricles, which are outside of every mean."""
        n_outputs = int(self.split.test[0].aligned.bold.shape[1])
        labels = Reader(self.recipe.data, bold_cache(self.recipe)).labels()
        return Space(self.recipe.data.space, n_outputs, labels).in_means

    @property
    def cleaning(self) -> dict[str, Any]:
        """What was taken out of BOLD, with every threshold, in plain values."""
        said = Reader(self.recipe.data, bold_cache(self.recipe)).cleaning
        return said | ({"regressors_fitted_on": "the whole run"} if _regressed_across(self.recipe) else {})

    def held_out(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Mask (n_samples,), BOLD (n_samples, n_outputs) and run of every sample of the test parts, in order."""
        parts = self.split.test
        mask = np.concatenate([part.mask[slice(*part.span)] for part in parts])
        bold = np.concatenate([part.aligned.bold[slice(*part.span)] for part in parts])
        return mask, bold, [part.aligned.label for part in parts for _ in range(*part.span)]


def prepare(
    recipe: Recipe, progress: Progress, trunk: Base | None = None, runs: list[StudyRun] | None = None
) -> Prepared:
    """Read everything that a recipe names, extract features, align and split.

    Parameters
    ----------
    recipe : Recipe
    progress : Progress
    trunk : Base, optional
        The recipe's checkpoint where it is open already: subjects of one stimulus share what it has computed.
    runs : list of StudyRun, optional
        The recipe's, where they are listed already.

    Raises
    ------
    TribetuneError
        Of the kind of what is at fault.
    """
    opened = trunk or open_trunk(recipe)
    tribe = opened.tribe
    base = identify(find_checkpoint(recipe.checkpoint), tribe.config.licence, opened.name)
    check_window(tribe, recipe.windows.duration_s)
    notes: list[str] = []
    if _regressed_across(recipe):
        notes.append(
            f"The confounds of `{recipe.data.cleaning}` were fitted on the whole run, both sides of the split together:"
            " training BOLD holds a trace of the test's motion. A split by run has none."
        )
    cache = bold_cache(recipe)
    runs = study_runs(recipe.data, cache, notes) if runs is None else runs
    for run in runs:
        check_usable(tribe, run.timeline, recipe.features.modalities, run.label)
    chosen = encoders_of(tribe, recipe.features.encoders)
    aligned = []
    for run in runs:
        progress.advance(f"Features of {run.label}", 0.0)
        features = features_of(recipe, run, chosen, progress)
        aligned.append(aligned_run(run, features, recipe.windows.hemodynamic_lag_s, cache))
    space = Space(recipe.data.space, int(aligned[0].bold.shape[1]))
    check_outputs(tribe, space)
    opened = opened.in_space(space)
    notes = [*mismatches(recipe, opened.tribe, has_row=has_row(opened, space)), *notes, *from_nothing(opened)]
    split, repeats = split_runs(recipe, aligned, {run.label: run.timeline.start_s for run in runs})
    media = [event.file for run in runs for event in run.timeline.events if event.file]
    inputs = tuple(dict.fromkeys([path for run in runs for path in run.inputs] + media))
    timelines = {run.label: timeline_digest(run.timeline) for run in runs}
    named, made = {run.label: run for run in runs}, _identities(chosen, runs, recipe.features.modalities)
    return Prepared(recipe, opened, base, split, inputs, timelines, chosen.name, named, notes, made, repeats=repeats)


def open_trunk(recipe: Recipe) -> Base:
    """A recipe's checkpoint, frozen, on the recipe's device; its trunk's output is kept beside the features.

    Raises
    ------
    CheckpointError
        If it cannot be opened.
    """
    place = find_checkpoint(recipe.checkpoint)
    tribe = Tribe.from_pretrained(place).requires_grad_(False).eval().to(pick_device(recipe.features.device))
    return Base(tribe, checkpoint_hash(place), recipe.features.store.parent / "trunk", "auto")


def bold_cache(recipe: Recipe) -> Path:
    """Folder where a recipe's cleaned and aligned BOLD is kept."""
    return recipe.data.cache or recipe.features.store.parent / "bold"


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


def features_of(recipe: Recipe, run: StudyRun, chosen: Encoders, progress: Progress) -> Features:
    """A run's features as the recipe wants them, extracted or read."""
    choice = recipe.features
    return extract(
        run.timeline,
        chosen,
        choice.modalities,
        choice.store,
        choice.device,
        lambda what, share: progress.advance(f"{run.label}: {what}", share),
    )


def _identities(chosen: Encoders, runs: list[StudyRun], modalities: Sequence[str]) -> dict[str, str]:
    """Of the encoders that had something to encode; imported features have none."""
    shown = [name for name in modalities if any(run.timeline.of_kind(EVENT_KINDS[name]) for run in runs)]
    return {name: hash_plain(chosen[name].identity) for name in shown if name in chosen.by_modality}


def _regressed_across(recipe: Recipe) -> bool:
    """Whether a run's confounds were fitted on blocks for training and for test together."""
    return isinstance(recipe.data.split, BlockSplit) and recipe.data.cleaning != "tribe"

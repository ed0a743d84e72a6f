"""A subject's runs as a recipe wants them: found, read, projected, averaged in parcels, cleaned and kept."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from tribetune.bold.bids_folders import raw_roots
from tribetune.bold.bids_names import entities
from tribetune.bold.cache import kept_run, key_of
from tribetune.bold.clean import clean, describe
from tribetune.bold.confounds import Thresholds
from tribetune.bold.find import find_runs
from tribetune.bold.images import open_volume, volume_t_r
from tribetune.bold.label_files import read_names
from tribetune.bold.parcellation import Parcellation, parcels_of_image, read_parcellation
from tribetune.bold.parcels import to_parcels, volume_to_parcels
from tribetune.bold.patterns import nearest
from tribetune.bold.project import project_to_surface
from tribetune.bold.read import read_run
from tribetune.bold.run import Run, check_values, entities_said, is_named, run_label
from tribetune.bold.run_files import RunFiles, run_of_files
from tribetune.bold.subcortex import Atlas, project_to_subcortex, read_atlas, with_subcortex
from tribetune.errors import BoldError, SpaceError, refusing, together
from tribetune.recipe.data import Data, RunOfFiles
from tribetune.spaces import FSAVERAGE5, FSLR, SUBCORTEX, join_spaces

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

_WITH_SUBCORTEX = (SUBCORTEX.name, f"{FSAVERAGE5.name}+{SUBCORTEX.name}")


def list_files(data: Data) -> list[RunFiles]:
    """The files of every run of the recipe's subject, in the best form there is for its space.

    Raises
    ------
    BoldError
        If there are none, or they contradict each other.
    """
    return together(find_files(data))


def find_files(data: Data) -> list[Callable[[], RunFiles]]:
    """The runs of the recipe's subject, each to be called for its files, see `together`.

    Raises
    ------
    BoldError
        If there are none, or those of a dataset contradict each other.
    """
    names, runs = [str(name) for name in data.runs], list[tuple[str, Callable[[], RunFiles]]]()
    like: tuple[Path, ...] = ()
    if data.files is not None:
        labels = [run_label(data.subject, data.session, data.task, run.run) for run in data.files]
        runs += [(label, partial(files_of, data, run)) for label, run in zip(labels, data.files, strict=True)]
    else:
        found = find_runs(Path(str(data.bids)), data.subject, data.task, _source(data), data.session)
        runs += [(files.label, job) for files, job in found]
        like = found[0][0].bold
    jobs = [job for label, job in runs if not names or any(is_named(label, name) for name in names)]
    lacking = [name for name in names if not any(is_named(label, name) for label, _ in runs)]
    if lacking:
        told = [path for name in lacking for path in _expected(name, like)]
        heading = f"sub-{data.subject}: {len(lacking)} of {len(names)} runs are not there"
        jobs.insert(0, refusing(BoldError(heading, hint="fetch them, or mend data.runs", faults=told)))
    return jobs


def _source(data: Data) -> str:
    """The space of the files that the recipe's space is made from, as `find_runs` takes it."""
    if data.volume.source or data.parcellation is None:
        return data.volume.source or data.space
    return SUBCORTEX.name if data.parcellation.of_volumes else FSAVERAGE5.name  # the first: any volume will do


def files_of(data: Data, run: RunOfFiles) -> RunFiles:
    """One run of a recipe's ``files``."""
    label = run_label(data.subject, data.session, data.task, run.run)
    named = [path for path in (*run.bold, run.events, run.confounds, run.brain_mask) if path is not None]
    lacking = [f"{label}: no file {path}{nearest(path)}" for path in named if not path.is_file()]
    together([refusing(BoldError(fault, hint="mend data.files")) for fault in lacking])
    return run_of_files(run.bold, label, run.t_r, run.events, run.confounds, run.brain_mask)


def stimuli_of(data: Data, files: RunFiles | None = None) -> Path:
    """Folder of the stimulus files that a run's events name; that of a BIDS dataset is its raw part's."""
    if data.stimuli is not None:
        return data.stimuli
    if data.bids is not None:
        places = [root / "stimuli" for root in raw_roots(data.bids)]
        return next((place for place in places if place.is_dir()), places[-1])
    return files.events.parent if files is not None and files.events is not None else Path()


@dataclass(frozen=True)
class Reader:
    """Reads runs into the space of a recipe, and cleans them as it says.

    Attributes
    ----------
    data : Data
    cache : Path
        Folder where cleaned runs are kept.
    """

    data: Data
    cache: Path

    @cached_property
    def atlas(self) -> Atlas:
        """Voxels of the subcortex."""
        return read_atlas(self.data.subcortex.atlas, self.data.subcortex.labels)

    @cached_property
    def parcellation(self) -> Parcellation:
        """Parcels of vertices."""
        choice = self.data.parcellation
        assert choice is not None  # the schema makes sure
        files = choice.file or (Path(str(choice.left)), Path(str(choice.right)))
        return read_parcellation(files, self.data.space, choice.names)

    def places(self) -> None:
        """Read the parcellation or atlas that the space needs, where it is not an image that needs a run's grid.

        Raises
        ------
        SpaceError
            If a file is not there or cannot be read.
        """
        choice = self.data.parcellation
        if choice is not None and not choice.of_volumes:
            _ = self.parcellation
        if self.data.space in _WITH_SUBCORTEX:
            _ = self.atlas

    @property
    def cleaning(self) -> dict[str, Any]:
        """What cleaning does, in plain values."""
        return describe(self.data.cleaning, self._thresholds)

    def inputs(self, files: RunFiles) -> tuple[Path, ...]:
        """Every file that decides a run's values, in a fixed order."""
        data, choice = self.data, self.data.parcellation
        table = files.confounds
        about = [table, table.with_suffix(".json") if table else None, files.brain_mask]
        sidecars = [path for applying in files.sidecars for path in applying]
        parcels = [choice.left, choice.right, choice.file, choice.names] if choice else []
        atlas = [data.subcortex.atlas, data.subcortex.labels] if data.space in _WITH_SUBCORTEX else []
        others = [*about, *sidecars, *parcels, *atlas, data.volume.meshes if files.kind == "volume" else None]
        return (*files.bold, *(path for path in others if path is not None and path.exists()))

    def key(self, files: RunFiles) -> str:
        """Name of a cleaned run: a hash of its files' contents and of all choices."""
        data = self.data
        choices: dict[str, Any] = {"space": data.space, "t_r": files.t_r, "label": files.label, **self.cleaning}
        choices["kinds"] = [path.suffix for path in self.inputs(files)]
        if files.kind == "volume":
            choices["nilearn"] = version("nilearn")  # its surfaces, its atlas, its interpolation
            choices["depth"] = data.volume.depth
            choices["smoothing_mm"] = data.subcortex.smoothing_fwhm_mm
        return key_of(self.inputs(files), choices)

    def cleaned(self, files: RunFiles, key: str) -> Run:
        """A cleaned run, mapped from the cache; `key` names it."""

        def make() -> Run:
            return clean(self.read(files), self.data.cleaning, files.confounds, self._thresholds)

        return kept_run(self.cache, key, files.label, files.bold, make)

    def read(self, files: RunFiles) -> Run:
        """A run in the recipe's space, as measured.

        Raises
        ------
        BoldError, SpaceError
            If it cannot be read, or cannot be brought to that space.
        """
        data = self.data
        if data.parcellation is not None and data.parcellation.of_volumes:
            return self._parcels_of_volume(files)
        if data.parcellation is not None:
            return self._sized(to_parcels(self._cortex(files), self.parcellation))
        if data.space == FSLR.name:
            return read_run(files, FSLR.name)
        if data.space == SUBCORTEX.name:
            return self._subcortex(files)
        cortex = self._cortex(files)
        return cortex if data.space == FSAVERAGE5.name else with_subcortex(cortex, self._subcortex(files))

    def labels(self) -> tuple[str, ...]:
        """Structure of every output of a space with the subcortex; empty elsewhere."""
        if self.data.space not in _WITH_SUBCORTEX:
            return ()
        structures = self.atlas.space
        return structures.labels if self.data.space == SUBCORTEX.name else join_spaces(FSAVERAGE5, structures).labels

    @property
    def _thresholds(self) -> Thresholds:
        return Thresholds(**self.data.thresholds.model_dump())

    def _cortex(self, files: RunFiles) -> Run:
        if files.kind != "volume":
            return read_run(files, FSAVERAGE5.name)
        choice = self.data.volume
        image, mask = _opened(files)
        values = project_to_surface(image, choice.depth, choice.meshes, mask)
        return _run(files, values, FSAVERAGE5.name)

    def _subcortex(self, files: RunFiles) -> Run:
        _check_volume(files, self.data.space)
        image, mask = _opened(files)
        values = project_to_subcortex(image, self.atlas, self.data.subcortex.smoothing_fwhm_mm, mask)
        return _run(files, values, SUBCORTEX.name, self.atlas.structures)

    def _parcels_of_volume(self, files: RunFiles) -> Run:
        choice = self.data.parcellation
        assert choice is not None  # the schema makes sure
        assert choice.file is not None
        assert choice.names is not None
        from tribetune.bold.images import open_image

        _check_volume(files, self.data.space)
        image, mask = _opened(files)
        parcels = parcels_of_image(open_image(choice.file), read_names(choice.names), image, self.data.space)
        return self._sized(_run(files, volume_to_parcels(image, parcels, mask), self.data.space, parcels.names))

    def _sized(self, run: Run) -> Run:
        """Refuse a name whose number is not that of the parcels."""
        found = run.values.shape[1]
        wanted = int(self.data.space.lstrip("abcdefghijklmnopqrstuvwxyz-"))
        if found != wanted:
            name = self.data.space.removesuffix(str(wanted))
            raise SpaceError(f"{self.data.space}: its files have {found} parcels", hint=f"data.space: {name}{found}")
        return run


def _expected(name: str, like: Sequence[Path]) -> Iterator[str]:
    """The files that a run of a dataset would have, by the names of another run's."""
    if not like:
        yield f"no run {name} in data.files"
        return
    asked = entities_said(name) or {"run": name}
    for path in like:
        said, text = entities(path), str(path)
        for key, value in asked.items():
            old = said.get(key, "")
            new = value.zfill(len(old)) if old.isdecimal() and value.isdecimal() else value
            text = re.sub(rf"(?<=[/_]){key}-{re.escape(old)}(?=[/_.])", f"{key}-{new}", text)
        yield f"no file {text}" if text != str(path) else f"no run {name}"


def _opened(files: RunFiles) -> "tuple[SpatialImage, SpatialImage | None]":
    from tribetune.bold.images import open_image

    return open_volume(files), None if files.brain_mask is None else open_image(files.brain_mask)


def _check_volume(files: RunFiles, space: str) -> None:
    if files.kind != "volume":
        raise SpaceError(
            f"{files.label}: {files.bold[0].name} is no volume, which {space} is made from",
            hint="run fMRIPrep with --output-spaces MNI152NLin2009cAsym, or choose another data.space",
        )


def _run(files: RunFiles, values: Float[np.ndarray, "time output"], space: str, outputs: tuple[str, ...] = ()) -> Run:
    check_values(values, files.label)
    entities = (files.subject, files.session, files.task, files.run)
    run = Run(*entities, values, volume_t_r(files), space, np.ones(len(values), bool), files.bold)
    return replace(run, outputs=outputs)

"""The schema of a recipe's data: which runs, in which space, cleaned how, and how they are split."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tribetune.recipe.section import Fraction, Label, Positive, Section

Terms = Literal["basic", "power2", "derivatives", "full"]

_SPACES = ("fsaverage5", "subcortex", "fsaverage5+subcortex", "fsLR", "table")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PARCELS = re.compile(r"(?!fsaverage|fslr)[a-z][a-z-]*?\d+")


class RunSplit(Section):
    """Whole runs for training, validation and test."""

    by: Literal["run"] = "run"
    validation: list[str | int] = Field([])
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

    folder: Path = Path()
    """Where the paths below begin."""
    path: str
    """The file; ``{subject}``, ``{session}``, ``{task}`` and ``{run}`` stand for one file each."""
    bold: str = ""
    """Name of the array in an NPZ or HDF5 file; may be left out where there is only one."""
    repeats: str = ""
    """Name of the array beside ``bold`` with each showing of a run, showing × time × region, whose mean is
    ``bold``: the noise ceiling comes from it."""
    subjects: str = ""
    """Name of the array that labels the subjects; the usual names are tried."""
    regions: str = ""
    """Name of the array that labels the regions; the usual names are tried."""
    t_r: Positive | None = None
    """Repetition time in seconds, where the file does not say it."""
    first_volume_s: float | None = None
    """Time of the first volume on the clock of the stimulus, in seconds, where the file does not say it."""
    media: str = ""
    """The film or sound, with the same placeholders and ``*`` for anything; none when only words are used."""
    words: str = ""
    """Word timings, likewise; an NPZ table may carry its own."""


class Layout(Section):
    """A lab's own layout: paths with placeholders.

    ``{subject}``, ``{session}``, ``{task}`` and ``{run}`` stand for what differs between runs, ``*`` for anything;
    other placeholders get their values from ``data.runs``.
    """

    folder: Path = Path()
    """Where the paths below begin."""
    bold: str | Annotated[list[str], Field(min_length=1, max_length=2)]
    """One volume (``.nii.gz``) or ``.dtseries.nii``, or left and right hemisphere (``.func.gii``, ``.mgz``)."""
    media: str = ""
    """The film or sound."""
    words: str = ""
    """Its words, in any format; without it those in ``NAME_words.*`` beside the film or sound, where there are."""
    onset_s: float = 0.0
    """When the stimulus begins, in seconds after the first volume; of single runs, in ``data.runs``."""
    events: str = ""
    """Instead of ``media``, ``words`` and ``onset_s``: an ``events.tsv``."""
    confounds: str = ""
    """fMRIPrep's table of confounds."""
    brain_mask: str = ""
    """Of volumes: voxels where it is 0 become 0."""
    t_r: Positive | None = None
    """Repetition time in seconds, where no header or JSON beside the file says it."""
    in_order: Annotated[int, Field(ge=1)] | None = None
    """Number of runs, where a path says the scanner's number, ``{scan}``, instead of the run: they are runs 1, 2, … in
    its order."""

    @model_validator(mode="after")
    def _has_a_stimulus(self) -> "Layout":
        if bool(self.events) == bool(self.media or self.words):
            raise ValueError("give either `media` or `words` or both, or `events`")
        if self.events and self.onset_s:
            raise ValueError("`onset_s` goes with `media` and `words`: `events` has onsets of its own")
        first = self.bold if isinstance(self.bold, str) else self.bold[0]
        if (self.in_order is not None) != ("{scan}" in first):
            raise ValueError("`in_order` goes with {scan} in `bold`")
        return self


class RunOfFiles(Section):
    """One run outside of any BIDS dataset."""

    run: Annotated[str, Field(coerce_numbers_to_str=True, pattern=r"^[A-Za-z0-9]+$")]
    """Its name, as in ``split``."""
    bold: Annotated[list[Path], Field(min_length=1, max_length=2)]
    """Left and right hemisphere (``.func.gii``, ``.mgz``), or one volume (``.nii.gz``), or one ``.dtseries.nii``."""
    events: Path | None = None
    """Its ``events.tsv``."""
    confounds: Path | None = None
    """fMRIPrep's table of confounds."""
    brain_mask: Path | None = None
    """Of a volume: voxels where it is 0 become 0."""
    t_r: Positive | None = None
    """Repetition time in seconds, where no header or JSON beside the file says it."""


class Thresholds(Section):
    """Every choice behind ``cleaning``; the defaults are nilearn's, and a strategy uses those that are its own."""

    high_pass: bool = True
    """Take out fMRIPrep's cosines (128 s)."""
    motion: Terms = "full"
    """Terms of the six head motion parameters."""
    wm_csf: Terms | None = None
    """Terms of white matter's and CSF's means; left out: ``basic`` in ``simple``, ``full`` in ``scrubbing``."""
    global_signal: Terms | None = None
    """Terms of the global signal; left out: it stays in."""
    scrub_trs: Annotated[int, Field(ge=0)] = 5
    """``scrubbing``: stretches between scrubbed volumes go, too, when they are shorter than this many volumes."""
    fd_threshold_mm: Positive = 0.5
    """``scrubbing``: volumes with more framewise displacement go."""
    std_dvars_threshold: Positive = 1.5
    """``scrubbing``: volumes with more standardised DVARS go."""
    compcor: Literal[
        "anat_combined", "anat_separated", "temporal", "temporal_anat_combined", "temporal_anat_separated"
    ] = "anat_combined"
    """``compcor``: masks that the components are of."""
    n_compcor: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    """``compcor``: components of each mask."""


class Parcels(Section):
    """Files of the parcellation that ``space`` names."""

    left: Path | None = None
    """Left hemisphere: ``.annot`` or ``.label.gii``."""
    right: Path | None = None
    """Right hemisphere."""
    file: Path | None = None
    """Instead of the two: a CSV of fsaverage5's 20,484 labels, or a label image (``.nii.gz``) for volumes."""
    names: Path | None = None
    """A TSV or CSV of ``index`` and ``name``, for a CSV of numbers or a label image."""

    @property
    def of_volumes(self) -> bool:
        """Whether it is a label image."""
        return self.file is not None and self.file.name.endswith((".nii", ".nii.gz"))

    @model_validator(mode="after")
    def _one_or_both(self) -> "Parcels":
        if (self.left is None) != (self.right is None) or (self.left is None) == (self.file is None):
            raise ValueError("give either `left` and `right`, or `file`")
        if self.of_volumes and self.names is None:
            raise ValueError("a label image needs `names`, a TSV or CSV of index and name")
        return self


class Volumes(Section):
    """How volumes become vertices of fsaverage5."""

    source: str = ""
    """Take these volumes and no surfaces, by fMRIPrep's name: ``MNI152NLin2009cAsym`` or with more entities
    ``MNI152NLin2009cAsym:res-2``."""
    depth: Literal["pial", "midthickness"] | Annotated[float, Field(ge=0, le=1)] = "pial"
    """Where balls of 3 mm sit: the share of the way from the pial surface (0) to the white one (1)."""
    meshes: Path | None = None
    """Folder with other surfaces than nilearn's: ``lh.pial.fsaverage5.gii`` and so on."""


class Subcortex(Section):
    """Which voxels are subcortical, and how they are smoothed."""

    atlas: Path | None = None
    """A label image; left out: Harvard-Oxford by nilearn's fetcher."""
    labels: Path | None = None
    """Its names: FSL's XML, or a TSV or CSV of ``index`` and ``name``."""
    smoothing_fwhm_mm: Annotated[float, Field(ge=0)] = 6.0
    """Full width at half maximum of a Gaussian; 0 for none."""


class Source(Section):
    """Where BOLD and stimuli are, in which space, and how they are cleaned."""

    bids: Path | None = None
    """A BIDS dataset with fMRIPrep derivatives."""
    files: Annotated[list[RunOfFiles], Field(min_length=1)] | None = None
    """Or the files of every run."""
    layout: Layout | None = None
    """Or where the files of every run lie in a lab's own layout."""
    tables: Tables | None = None
    """Or BOLD that is already a table."""
    runs: list[str | int] | dict[Label, dict[str, str | int | float]] = Field([])
    """Only these runs, and all of them must be there; every run that is there when empty. In ``layout`` and ``tables``
    also what other placeholders stand for, and when a run's stimulus begins: ``{1: {film: CC1, onset_s: 8}}``."""
    stimuli: Path | None = None
    """Folder of the files that ``events.tsv`` names; left out: ``stimuli`` of the dataset, or the events' own."""
    session: Label = ""
    """Only this session; all when empty."""
    task: str = ""
    """The task's label, without ``task-``."""
    space: str = "fsaverage5"
    """``fsaverage5``, ``subcortex``, ``fsaverage5+subcortex``, ``fsLR``, ``table``, or the name of a parcellation with
    its number of parcels: ``schaefer400``."""
    parcellation: Parcels | None = None
    """Its files, where ``space`` is a parcellation."""
    volume: Volumes = Volumes()
    """For runs that are volumes."""
    subcortex: Subcortex = Subcortex()
    """For a space with the subcortex."""
    cleaning: Literal["tribe", "simple", "scrubbing", "compcor"] = "tribe"
    """``tribe``: linear detrending and z-scoring per run, no confound regression; the others are nilearn's
    strategies, with detrending and z-scoring, too."""
    thresholds: Thresholds = Thresholds()
    """Choices behind ``simple``, ``scrubbing`` and ``compcor``."""
    cache: Path | None = None
    """Folder where cleaned and aligned BOLD is kept; left out: ``bold`` beside the features' store."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Source":
        faults = [*self._source_faults(), *self._space_faults()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _source_faults(self) -> list[str]:
        given = [name for name in ("bids", "files", "layout", "tables") if getattr(self, name) is not None]
        faults = [] if len(given) == 1 else ["give `bids`, `files`, `layout` or `tables`, and one of them only"]
        if (self.tables is not None) != (self.space == "table"):
            faults.append("`tables` goes with `space: table`, and `bids`, `files` and `layout` with another space")
        if self.tables is not None and self.cleaning != "tribe":
            faults.append(f"`cleaning: {self.cleaning}` needs confounds, and `tables` have none")
        names = [run.run for run in self.files or []]
        twice = sorted({name for name in names if names.count(name) > 1})
        return [*faults, *self._runs_faults(), *(f"two runs of `files` are called {name}" for name in twice)]

    def _runs_faults(self) -> list[str]:
        place = self.layout or self.tables
        if not isinstance(self.runs, dict):
            return []
        if place is None:
            return ["`runs` of `bids` and `files` is a list of names"]
        # A key that stands nowhere would be passed over, and a misspelt onset shift a run without a word.
        onset = [] if self.layout and self.layout.events else ["onset_s"]
        known = sorted({*_PLACEHOLDER.findall(place.model_dump_json()), *onset})
        unknown = sorted({key for more in self.runs.values() for key in more} - set(known))
        texts = [name for name, more in self.runs.items() if isinstance(more.get("onset_s"), str)]
        return [
            *(f"`runs` says what {key!r} is, and no path has it; there are {', '.join(known)}" for key in unknown),
            *(f"`onset_s` of run {name} in `runs` is a text, expected seconds" for name in texts),
        ]

    def _space_faults(self) -> list[str]:
        named = self.space not in _SPACES
        if named and not _PARCELS.fullmatch(self.space):
            parcels = "a parcellation with its number of parcels, such as schaefer400"
            return [f"`space` is {self.space!r}, expected one of {', '.join(_SPACES)}, or {parcels}"]
        if named == (self.parcellation is None):
            needs = f"`space: {self.space}` needs `parcellation`" if named else "`parcellation` goes with `space`"
            return [f"{needs}: the name of a parcellation and its files belong together"]
        return []


class Data(Source):
    """One subject's BOLD and stimuli, and how they are split."""

    subject: Label
    """The subject's label, without ``sub-``; in quotes where it begins with a zero."""
    split: Annotated[RunSplit | BlockSplit, Field(discriminator="by")]
    """What is trained on, and what is only scored."""
    calibration_minutes: Positive = 60.0
    """How much of the training BOLD is used."""
    repeats: dict[Label, tuple[float, float]] = Field({})
    """Stretches of runs that show the same clip, from and to in seconds after the first volume: ``{1: [818, 901]}``.
    They are neither trained on nor scored, and the noise ceiling comes from them."""

    @model_validator(mode="after")
    def _repeats_of_runs(self) -> "Data":
        if self.repeats and (len(self.repeats) < 2 or isinstance(self.split, BlockSplit)):
            raise ValueError("`repeats` are of two runs or more, and go with a split by run")
        return self

"""Every recipe of a dataset, on a miniature of that dataset: it checks, and names whatever is missing."""

import importlib
import re
from pathlib import Path

import h5py
import pytest

from tribetune.errors import TribetuneError
from tribetune.recipe.file import read_any_recipe
from tribetune.shipped import shipped_recipes
from tribetune.simulate.cohort import simulate
from tribetune.simulate.settings import CohortSettings
from tribetune.study.check import check
from tribetune.study.runs import study_runs

DATASETS = (
    "algonauts2025",
    "hcp7t",
    "ibc",
    "lahner2024",
    "lebel2023",
    "narratives",
    "nndb",
    "petit-prince",
    "studyforrest",
    "subcortex",
    "wen2017",
)
"""Recipes with a module of their name in tests/miniatures (- is _): `make` writes the tree, `SHOWN_AT` says of some
runs when which stimulus began, in seconds after the first volume; `OPTIONAL` are patterns of files that may be missing,
`OVERRIDES` what the miniature has otherwise."""


FEW = 12
"""Files that are taken away one by one."""


def miniature(name):
    return importlib.import_module(f"tests.miniatures.{name.replace('-', '_')}")


def home(name) -> Path:
    """Where the recipe expects the dataset."""
    data = read_any_recipe(shipped_recipes()[name]).data
    return data.bids or (data.layout or data.tables).folder


@pytest.fixture(scope="module", params=DATASETS)
def dataset(request, tmp_path_factory):
    """A folder to work in with the miniature of a recipe's dataset where the recipe expects it."""
    folder = tmp_path_factory.mktemp(request.param)
    miniature(request.param).make(folder / home(request.param))
    return request.param, folder


def needed(name, folder) -> list[Path]:
    optional = getattr(miniature(name), "OPTIONAL", ())
    there = sorted(path for path in (folder / home(name)).rglob("*") if path.is_file())
    return [path for path in there if not any(path.match(pattern) for pattern in optional)]


def called(path, files) -> str:
    """Its name, with its folder's where other files have the same."""
    return path.name if [file.name for file in files].count(path.name) == 1 else f"{path.parent.name}/{path.name}"


def overrides(name) -> tuple[str, ...]:
    return getattr(miniature(name), "OVERRIDES", ())


def checked(name) -> list[str]:
    return check(str(shipped_recipes()[name]), overrides(name))


def told(name) -> TribetuneError:
    with pytest.raises(TribetuneError) as caught:
        checked(name)
    assert caught.value.hint
    return caught.value


def test_a_recipe_checks_on_its_miniature(dataset, monkeypatch):
    name, folder = dataset
    monkeypatch.chdir(folder)
    lines = checked(name)
    assert any(line.startswith("test: ") for line in lines)


def in_turn(files) -> list[list[Path]]:
    """Every file once: each alone where they are few, else every other one of a kind at a time."""
    if len(files) <= FEW:
        return [[path] for path in files]
    kinds: dict[tuple, list[Path]] = {}
    for path in files:
        kinds.setdefault((re.sub(r"\d", "", str(path.parent)), path.suffix), []).append(path)
    return [turn for kind in kinds.values() for turn in (kind[::2], kind[1::2]) if turn]


def test_every_file_is_named_when_it_is_missing_under_its_name(dataset, monkeypatch):
    name, folder = dataset
    monkeypatch.chdir(folder)
    files = needed(name, folder)
    turns = in_turn(files)
    assert sorted(path for turn in turns for path in turn) == files
    for turn in turns:
        for path in turn:
            path.rename(path.with_name(f"old_{path.name}"))  # misnamed; wholly gone in the next test
        message = str(told(name))
        for path in turn:
            path.with_name(f"old_{path.name}").rename(path)
        assert [path for path in turn if called(path, files) not in message] == []


@pytest.mark.parametrize("choose", ["the last three", "the first of each kind"])
def test_all_that_is_missing_is_named_at_once(dataset, monkeypatch, tmp_path, choose):
    name, folder = dataset
    monkeypatch.chdir(folder)
    files = needed(name, folder)
    gone = files[-3:] if choose == "the last three" else [*{path.suffix: path for path in reversed(files)}.values()]
    assert len(gone) >= 2
    for number, path in enumerate(gone):
        path.rename(tmp_path / str(number))
    try:
        error = told(name)
    finally:
        for number, path in enumerate(gone):
            (tmp_path / str(number)).rename(path)
    assert all(called(path, files) in str(error) for path in gone)
    assert all(any(called(path, files) in fault for path in gone) for fault in error.faults)


def test_a_run_has_its_stimulus_when_it_was_shown(dataset, monkeypatch):
    name, folder = dataset
    monkeypatch.chdir(folder)
    data = read_any_recipe(shipped_recipes()[name], overrides(name)).data
    runs = {run.label: run.timeline for run in study_runs(data, folder / "cache")}
    for label, (start_s, shown) in miniature(name).SHOWN_AT.items():
        assert runs[label].start_s == start_s
        assert {event.file.name for event in runs[label].events if event.file} == shown


def test_in_bids_what_is_missing_in_every_run_is_told_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate(tmp_path / "study", CohortSettings(runs=3, minutes=0.25, seed=5))
    gone = [
        next((tmp_path / "study").rglob(name))
        for name in ("sub-01_task-movie_run-1_events.tsv", "film-02.mp4", "*run-3_hemi-R*bold.func.gii")
    ]
    for path in gone:
        path.unlink()
    with pytest.raises(TribetuneError) as caught:
        check(str(shipped_recipes()["lora-one-hour"]), ("data.bids=study", "data.runs=[1, 2, 3, 4]"))
    wanted = ("run-4_hemi-L", "run-4_hemi-R", "run-1_events.tsv", "film-02.mp4", "run-3: hemisphere R is missing")
    assert len(caught.value.faults) == len(wanted)
    for name in wanted:
        assert sum(name in fault for fault in caught.value.faults) == 1, name


def test_another_subject_is_told_whose_tables_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    miniature("lebel2023").make(tmp_path / home("lebel2023"))
    with pytest.raises(TribetuneError, match=r"7 of 7 runs are not there; there are tables of UTS01: no table at"):
        check(str(shipped_recipes()["lebel2023"]), (*overrides("lebel2023"), "data.subject=UTS09"))


def test_what_is_missing_broken_or_of_another_run_is_told_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / home("petit-prince")
    miniature("petit-prince").make(folder)
    bold = sorted(folder.rglob("*.nii.gz"))
    bold[5].write_bytes(bold[5].read_bytes()[:2000])
    (folder / "annotation/EN/lppEN_section2.TextGrid").unlink()
    (folder / "annotation/EN/lppEN_section3.TextGrid").write_text("no grid")
    (folder / "stimuli/task-lppEN_section-4.wav").write_bytes(b"")
    words = folder / "annotation/EN/lppEN_section5.TextGrid"
    words.rename(words.with_name("lppEN_section_05.TextGrid"))
    faults = told("petit-prince").faults
    wanted = (bold[5].name, "section2.TextGrid", "section3.TextGrid", "section-4.wav", "section5.TextGrid (there is")
    assert len(faults) == len(wanted)
    for name in wanted:
        assert sum(name in fault for fault in faults) == 1


def test_a_dataset_that_is_elsewhere_is_told_by_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("lebel2023", "narratives"):
        assert f"no folder {home(name)}" in str(told(name))


def test_showings_that_are_another_runs_are_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    miniature("lebel2023").make(tmp_path / home("lebel2023"))
    (path,) = tmp_path.rglob("wheretheressmoke.hf5")
    with h5py.File(path, "r+") as file:
        file["data"][...] = file["data"][:][::-1]
    assert "with the mean of individual_repeats" in str(told("lebel2023"))

"""Every recipe of a dataset, on a miniature of that dataset: it checks, and names whatever is missing."""

import importlib
import shutil
from pathlib import Path

import pytest

from tribetune.errors import TribetuneError
from tribetune.recipe.file import read_any_recipe
from tribetune.shipped import shipped_recipes
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


def test_a_file_that_is_missing_or_misnamed_is_named(dataset, monkeypatch):
    name, folder = dataset
    monkeypatch.chdir(folder)
    files = needed(name, folder)
    assert len(files) >= 3
    for path in files:
        moved = path.with_name(f"old_{path.name}")
        path.rename(moved)
        misnamed = str(told(name))
        shutil.move(moved, folder / "elsewhere")
        missing = str(told(name))
        shutil.move(folder / "elsewhere", path)
        for message in (misnamed, missing):
            assert called(path, files) in message


def test_all_that_is_missing_is_named_at_once(dataset, monkeypatch, tmp_path):
    name, folder = dataset
    monkeypatch.chdir(folder)
    files = needed(name, folder)
    gone = files[-3:]
    assert len(gone) == 3
    for number, path in enumerate(gone):
        path.rename(tmp_path / str(number))
    try:
        error = told(name)
    finally:
        for number, path in enumerate(gone):
            (tmp_path / str(number)).rename(path)
    assert all(called(path, files) in str(error) for path in gone)
    assert len(error.faults) == len(gone)


def test_a_run_has_its_stimulus_when_it_was_shown(dataset, monkeypatch):
    name, folder = dataset
    monkeypatch.chdir(folder)
    data = read_any_recipe(shipped_recipes()[name], overrides(name)).data
    runs = {run.label: run.timeline for run in study_runs(data, folder / "cache")}
    for label, (start_s, shown) in miniature(name).SHOWN_AT.items():
        assert runs[label].start_s == start_s
        assert {event.file.name for event in runs[label].events if event.file} == shown

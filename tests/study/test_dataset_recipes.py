"""Every recipe of a dataset, on a miniature of that dataset: it checks, and names whatever is missing."""

import importlib
import shutil
from pathlib import Path

import pytest

from tribetune.errors import TribetuneError
from tribetune.recipe.file import read_any_recipe
from tribetune.shipped import shipped_recipes
from tribetune.study.check import check

DATASETS = ("algonauts2025", "hcp7t", "petit-prince", "subcortex", "wen2017")
"""Recipes with a module of their name in tests/miniatures (- is _): `make` writes the tree; `OPTIONAL` are patterns of
files that may be missing, `OVERRIDES` what the miniature has otherwise."""


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


def checked(name) -> list[str]:
    return check(str(shipped_recipes()[name]), getattr(miniature(name), "OVERRIDES", ()))


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
            assert path.name in message


def test_all_that_is_missing_is_named_at_once(dataset, monkeypatch, tmp_path):
    name, folder = dataset
    monkeypatch.chdir(folder)
    gone = [path for path in needed(name, folder) if path.suffix == needed(name, folder)[-1].suffix][:3]
    assert len(gone) >= 2
    for path in gone:
        path.rename(tmp_path / path.name)
    try:
        error = told(name)
    finally:
        for path in gone:
            (tmp_path / path.name).rename(path)
    assert all(path.name in str(error) for path in gone)
    assert len(error.faults) == len(gone)

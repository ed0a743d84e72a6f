"""What is kept of BOLD is what was made, or is made again."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tribetune.bold.cache import kept, kept_run, key_of
from tribetune.bold.run import Run


@pytest.fixture
def made() -> tuple[list[str], Callable]:
    """A maker of arrays, and what it was asked for so far."""
    calls: list[str] = []

    def make() -> tuple[dict[str, np.ndarray], dict[str, int]]:
        calls.append("made")
        return {"bold": np.arange(12, dtype=np.float32).reshape(4, 3)}, {"answer": 42}

    return calls, make


def test_what_was_made_once_is_mapped_from_then_on(tmp_path, made):
    calls, make = made
    key = key_of([], {"a": 1})
    for _ in range(3):
        arrays, about = kept(tmp_path, "run", key, make)
        np.testing.assert_array_equal(arrays["bold"], np.arange(12).reshape(4, 3))
        assert about["answer"] == 42
        assert not arrays["bold"].flags.writeable
    assert calls == ["made"]


@pytest.mark.parametrize("fault", ["flipped", "cut", "sidecar", "other key"])
def test_what_is_damaged_is_said_and_made_again(tmp_path, made, caplog, fault):
    calls, make = made
    key = key_of([], {"a": 1})
    kept(tmp_path, "run", key, make)
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    if fault == "flipped":
        content[-1] ^= 1
        path.write_bytes(content)
    elif fault == "cut":
        path.write_bytes(content[:-4])
    elif fault == "sidecar":
        path.with_suffix(".json").write_text("{")
    else:
        told = json.loads(path.with_suffix(".json").read_text())
        path.with_suffix(".json").write_text(json.dumps(told | {"key": "another"}))
    with caplog.at_level(logging.WARNING):
        arrays, _ = kept(tmp_path, "run", key, make)
    assert "made again" in caplog.text
    np.testing.assert_array_equal(arrays["bold"], np.arange(12).reshape(4, 3))
    assert calls == ["made", "made"]
    kept(tmp_path, "run", key, make)
    assert calls == ["made", "made"]


def test_several_writers_of_one_run_leave_one_sound_file(tmp_path, made, caplog):
    _, make = made
    key = key_of([], {"a": 1})
    with ThreadPoolExecutor(8) as writers, caplog.at_level(logging.WARNING):
        found = list(writers.map(lambda _: kept(tmp_path, "run", key, make), range(40)))
    for arrays, _ in found:
        np.testing.assert_array_equal(arrays["bold"], np.arange(12).reshape(4, 3))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]
    assert caplog.text == ""


def test_the_key_is_of_contents_and_choices_and_not_of_places(tmp_path):
    for folder, content in (("one", "x"), ("two", "x"), ("three", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bold.nii").write_text(content)
    one, two, three = ([tmp_path / name / "bold.nii"] for name in ("one", "two", "three"))
    assert key_of(one, {"cleaning": "tribe"}) == key_of(two, {"cleaning": "tribe"})
    assert key_of([tmp_path / "one"], {}) == key_of([tmp_path / "two"], {})
    assert len({key_of(one, {}), key_of(three, {}), key_of(one, {"cleaning": "tribe"}), key_of(one * 2, {})}) == 4


def test_a_run_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(0)
    mask = np.array([True, False, True, True])
    values = rng.standard_normal((4, 3)).astype(np.float32)
    values[:, 1] = np.nan
    run = Run("01", "", "movie", "2", values, 1.49, "parcels3", mask, (Path("a.gii"),), ("x", "y", "z"))
    for _ in range(2):
        found = kept_run(tmp_path, key_of([], {}), run.label, run.sources, lambda: run)
        np.testing.assert_array_equal(found.values, run.values)
        np.testing.assert_array_equal(found.mask, run.mask)
        assert (found.label, found.t_r, found.space, found.outputs) == (run.label, 1.49, "parcels3", run.outputs)
        assert found.sources == run.sources

"""The campaign of calibration minutes: what it fits is what it says, and its figures are those of its subjects."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.features.grid import Features
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.splits import Part, Split
from tribetune.windows import AlignedRun

MODULES = ("minutes", "minutes_table", "held_out", "evidence")


@pytest.fixture
def load(monkeypatch):
    """Modules of ``benchmarks/``, imported as a script there sees its neighbours."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def split():
    """Two runs of six related outputs, the first two samples of each not valid."""
    rng = np.random.default_rng(1)
    parts = []
    for run in ("1", "2"):
        bold = (rng.standard_normal((120, 6)).cumsum(0) + rng.standard_normal((120, 1))).astype(np.float32)
        mask = np.arange(120) >= 2
        bold[~mask] = 0
        bold[mask] = (bold[mask] - bold[mask].mean(0)) / bold[mask].std(0)
        features = Features({"text": rng.standard_normal((1, 4, 240)).astype(np.float32)}, 120.0)
        parts.append(Part(AlignedRun(f"run-{run}", run, features, bold, mask, 5.0), (0, 120)))
    return Split((parts[0],), (), (parts[1],))


def test_the_subject_of_noise_has_the_first_ones_spectra_and_covariance_and_nothing_of_its_time_course(load, split):
    minutes = load("minutes")
    noise = minutes._noise(split, 3)
    for before, after in zip((*split.training, *split.test), (*noise.training, *noise.test), strict=True):
        was, became = before.aligned.bold[before.mask], after.aligned.bold[after.mask]
        power = [np.abs(np.fft.rfft(values, axis=0)) for values in (was, became)]
        np.testing.assert_allclose(power[1], power[0], atol=1e-3)  # float32 of values up to 100
        np.testing.assert_allclose(np.corrcoef(became.T), np.corrcoef(was.T), atol=1e-4)
        assert not np.allclose(became, was, atol=0.1)
        assert not after.aligned.bold[~after.mask].any()


def test_the_model_of_some_outputs_predicts_what_the_whole_one_predicts_for_them(load, monkeypatch):
    minutes = load("minutes")
    monkeypatch.setattr(minutes, "SAMPLE", np.array([1, 4]))
    sizes = {"hidden": 32, "depth": 1, "heads": 1, "n_outputs": 6, "rows": 2, "max_steps": 40}
    tribe = Tribe(TribeConfig({"text": (1, 4)}, **sizes)).eval()
    features = {"text": torch.randn(1, 1, 4, 40, generator=torch.Generator().manual_seed(0))}
    with torch.no_grad():
        thin, whole = minutes._thin_tribe(tribe)(features, n_trs=20), tribe(features, n_trs=20)
    torch.testing.assert_close(thin, whole[..., [1, 4]], atol=1e-6, rtol=0)  # one more order of summation


def test_subjects_side_by_side_are_fitted_as_if_alone(load, split):
    minutes = load("minutes")
    other = minutes._noise(split, 4)
    both = minutes._side_by_side([split, other])
    for joined, one, two in zip(both.training, split.training, other.training, strict=True):
        np.testing.assert_array_equal(joined.aligned.bold[:, :6], one.aligned.bold)
        np.testing.assert_array_equal(joined.aligned.bold[:, 6:], two.aligned.bold)
    np.testing.assert_array_equal(both.test[0].aligned.bold[:, 6:], other.test[0].aligned.bold)
    part = split.training[0]
    shorter = replace(part, aligned=replace(part.aligned, mask=part.aligned.mask & (np.arange(120) != 5)))
    other = Split((shorter,), (), split.test)
    with pytest.raises(ValueError, match="differ in their valid samples"):
        minutes._side_by_side([split, other])


def test_a_share_of_the_ideal_is_a_ratio_of_means_whose_interval_is_over_subjects(load):
    held_out = load("held_out")
    assert held_out.ratio_interval([0.1, 0.2, 0.3], [0.2, 0.4, 0.6]) == pytest.approx((0.5, 0.5, 0.5))
    mean, low, high = held_out.ratio_interval([0.0, 0.1, 0.2, 0.3], [1.0, 1.0, 1.0, 1.0])
    assert mean == pytest.approx(0.15)
    assert low < mean < high
    assert "positive in 2 of 3" in held_out.paired([1.0, 2.0, 0.0], [0.0, 1.0, 1.0], "one − other")


def test_the_table_of_minutes_has_every_length_and_counts_the_subjects_of_each_method(load):
    minutes, table = load("minutes"), load("minutes_table")
    figures = [_figure(minutes, seed, name, length) for seed in (1, 2) for name in ("01", "02", minutes.NOISE)
               for length in minutes.LENGTHS]  # fmt: skip
    lines = table.tables(figures)
    assert "4 subjects" in lines[0]
    assert "the first of each seed, 2 (" in lines[0]
    rows = [line for line in lines if line.startswith("| ") and line[2].isdigit()]
    assert [int(line.split("|")[1]) for line in rows] == 2 * list(minutes.LENGTHS)
    assert {line.split("|")[2].strip() for line in rows} == {"4, 2"}
    assert rows[0].count("0.50 [0.50, 0.50]") == len(table.METHODS)  # each at half of the ideal, noise left out
    told = "\n".join(table.sentences(figures))
    assert "Ladder on noise, 60 min: kept zero-shot 2" in told
    assert "1.00 [1.00, 1.00] × FIR" in told


def test_only_what_stands_between_its_markers_is_replaced(load, tmp_path):
    evidence = load("evidence")
    page = tmp_path / "README.md"
    begin, end = "<!-- minutes: python benchmarks/evidence.py --only minutes -->", "<!-- end of minutes -->"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    evidence._put_between(page, "minutes", ["new"])
    evidence._put_between(page, "minutes", ["newer"])
    assert page.read_text() == f"before\n{begin}\n\nnewer\n\n{end}\nafter\n"
    with pytest.raises(SystemExit, match="no markers of plans"):
        evidence._put_between(page, "plans", ["new"])
    assert begin in (Path(__file__).parents[2] / "recipes" / "README.md").read_text()


def _figure(minutes, seed, name, length):
    trunk = {"01": minutes.TRUNK, minutes.NOISE: ("ladder",)}.get(name, ())
    methods = dict.fromkeys(("fir", *minutes.CLOSED, *trunk), 0.1 * seed)
    scores = {"ideal": 0.2 * seed, **methods}
    return {"seed": seed, "subject": name, "minutes": length, "all": scores, "selected": scores, "kept": "zero-shot"}

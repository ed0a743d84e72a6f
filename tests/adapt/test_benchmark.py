"""The benchmark of adaptation: its reference trains as ours does, and its smallest run names its ratios."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tribetune.model.loss import masked_mse
from tribetune.model.surgery import train_only
from tribetune.windows import stack


@pytest.fixture
def benchmark(monkeypatch):
    """``benchmarks/adapt.py``, imported as its script sees its neighbours."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    yield importlib.import_module("adapt")
    for name in ("adapt", "model"):
        del sys.modules[name]


def test_a_reference_step_moves_the_readout_alone_and_by_our_gradient(benchmark, tribe, windows):
    batch = stack([replace(window, bold=window.bold[:, :-1]) for window in (windows[0], windows[3])])
    model = benchmark.with_mean_rows(tribe, ["new"])
    model.subjects.weights.data, model.subjects.bias.data = (t.data[..., :-1] for t in model.subjects.parameters())
    train_only(model, "subjects")
    weights = dict(model.named_parameters())
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    features = {name: batch[name] for name in model.config.modalities}
    ours = masked_mse(model(features, torch.tensor([0, 0])), batch["bold"], batch["mask"])
    expected = torch.autograd.grad(ours, [model.subjects.weights, model.subjects.bias])

    quiet = replace(model.config, modality_dropout=0.0, subject_dropout=0.0)
    optimizer = torch.optim.SGD(model.subjects.parameters(), lr=1.0)
    loss = benchmark.reference_step(weights, quiet, batch, optimizer)
    assert loss == pytest.approx(ours.item(), rel=1e-5)  # float32, two orders of summation
    moved = {name: before[name] - weight.detach() for name, weight in weights.items()}
    torch.testing.assert_close(moved["subjects.weights"], expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved["subjects.bias"], expected[1], atol=1e-5, rtol=0)
    assert {name for name, by in moved.items() if by.any()} == {"subjects.weights", "subjects.bias"}


def test_the_smallest_run_names_its_ratios_and_peaks(benchmark, monkeypatch, capsys):
    names = ["reference readout", "readout", "ridge", "cohort", "reference core", "lora"]
    wanted = [part for name in names for part in ("--only", name)]
    monkeypatch.setattr("sys.argv", ["adapt.py", "--small", "--json", "--repeats", "1", "--threads", "1", *wanted])
    benchmark.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found["ratios"]) == {"readout", "ridge", "cohort", "lora"}
    assert set(found["peak_gb"]) == set(names)

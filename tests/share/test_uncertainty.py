import dataclasses

import pytest
import torch
from safetensors.torch import load_file, save_file

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.adapt.uncertainty import Uncertainty
from tribetune.errors import AdaptationError
from tribetune.share.bundle import UNCERTAINTY, file_facts, load_adapter, read_facts, save_adapter, write_facts
from tribetune.share.uncertainty import load_uncertainty, save_uncertainty

N_INPUTS, N_OUTPUTS = 4, 6


@pytest.fixture
def folder(tmp_path):
    adapter = Adapter("ridge", {WEIGHTS: torch.randn(N_INPUTS, N_OUTPUTS), BIAS: torch.randn(N_OUTPUTS)})
    save_adapter(adapter, tmp_path / "adapter", {"base": {"name": "tribe-toy", "hash": "abc"}, "space": "table"})
    return tmp_path / "adapter"


@pytest.fixture
def found():
    noise = torch.rand(N_OUTPUTS)
    noise[2] = torch.nan
    parts = torch.randn(N_INPUTS), torch.randn(N_INPUTS, 3), torch.rand(2, 3), torch.rand(2)
    return Uncertainty(noise, *parts, torch.tensor([0, 1, 1, 0, 0, 1]), "noise and weights")


def test_it_reads_back_bitwise_beside_an_adapter_that_still_loads(folder, found):
    save_uncertainty(found, folder)
    loaded = load_uncertainty(folder, N_INPUTS, N_OUTPUTS)
    values = torch.randn(5, N_INPUTS)
    assert loaded.covers == "noise and weights"
    assert torch.equal(loaded.deviation(values).nan_to_num(), found.deviation(values).nan_to_num())
    assert torch.isnan(loaded.deviation(values)[:, 2]).all()
    assert UNCERTAINTY in read_facts(folder)["files"]
    assert load_adapter(folder, "abc").method == "ridge"


def test_a_bundle_without_one_says_so(folder):
    with pytest.raises(AdaptationError, match="is not known"):
        load_uncertainty(folder, N_INPUTS, N_OUTPUTS)


def test_a_file_that_the_facts_do_not_tell_of_is_not_used(folder, found):
    save_uncertainty(found, folder)
    write_facts(folder, {**read_facts(folder), "files": {name: told for name, told in file_facts(folder).items()
                                                         if name != UNCERTAINTY}})  # fmt: skip
    with pytest.raises(AdaptationError, match="is not known"):
        load_uncertainty(folder, N_INPUTS, N_OUTPUTS)


def test_a_file_that_was_changed_is_refused(folder, found):
    save_uncertainty(found, folder)
    content = bytearray((folder / UNCERTAINTY).read_bytes())
    content[-1] ^= 1
    (folder / UNCERTAINTY).write_bytes(content)
    with pytest.raises(AdaptationError, match="its hash is not the one"):
        load_adapter(folder, "abc")


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("noise", torch.rand(5), r"noise is \(5,\)"),
        ("noise", torch.full((6,), -1.0), "negative"),
        ("floor", torch.full((2,), torch.inf), "floor is not finite"),
        ("spectra", torch.rand(2), r"directions is \(4, 3\)"),
        ("group", torch.full((6,), 2.0), "group names"),
        ("group", torch.full((6,), 0.5), "group names"),
        ("more", torch.rand(2), "expected centre"),
    ],
)
def test_what_does_not_fit_is_refused(folder, found, name, value, fault):
    save_uncertainty(found, folder)
    save_file({**load_file(folder / UNCERTAINTY), name: value}, folder / UNCERTAINTY, metadata={"covers": "x"})
    write_facts(folder, {**read_facts(folder), "files": file_facts(folder)})
    with pytest.raises(AdaptationError, match=fault):
        load_uncertainty(folder, N_INPUTS, N_OUTPUTS)


def test_another_model_is_refused(folder, found):
    save_uncertainty(dataclasses.replace(found), folder)
    with pytest.raises(AdaptationError, match=r"centre is \(4,\), expected \(5,\)"):
        load_uncertainty(folder, N_INPUTS + 1, N_OUTPUTS)

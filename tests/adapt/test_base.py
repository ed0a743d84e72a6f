from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.adapt.axes import principal_axes
from tribetune.adapt.base import Base, window_key
from tribetune.adapt.latents import window_latents
from tribetune.adapt.methods import fit_method
from tribetune.adapt.precision import has_fast_bf16, keeps_r
from tribetune.adapt.unseen import residual
from tribetune.arrays import write_arrays
from tribetune.errors import BoldError


def test_latents_keep_valid_samples_only(base, windows):
    latents = base.latents(windows)
    assert [len(part.values) for part in latents] == [100, 100, 75, 100, 100, 100]
    assert all(len(part.bold) == len(part.values) == len(part.place) for part in latents)
    assert latents[2].place[:4].tolist() == [1, 2, 3, 5]


def test_the_trunk_runs_once_for_everybody_who_saw_the_same(tribe, windows, monkeypatch):
    base, runs = Base(tribe), []
    monkeypatch.setattr("tribetune.adapt.base.window_latents", lambda *given: runs.append(1) or window_latents(*given))
    first = base.trunk_output(windows[0])
    other_subject = replace(windows[0], bold=windows[0].bold + 1, run="sub-02_run-1")
    assert torch.equal(base.trunk_output(other_subject), first)
    assert len(runs) == 1
    base.trunk_output(windows[1])
    assert len(runs) == 2


def test_a_trunk_rounded_once_gives_what_autocast_gives(tribe, windows):
    base = Base(tribe, precision="bfloat16")
    for window in windows[:2]:
        assert torch.equal(base.trunk_output(window), window_latents(tribe, window, "bfloat16"))
    assert all(weight.dtype == torch.float32 for weight in tribe.parameters())


@pytest.mark.parametrize("method", ["ridge", "low-rank"])
def test_what_a_subject_before_left_behind_changes_nothing(tribe, windows, method):
    rng = np.random.default_rng(5)
    other = [replace(window, bold=rng.standard_normal(window.bold.shape, np.float32)) for window in windows]
    shared = Base(tribe)
    fit_method(method, shared, other, {}, 0)
    after, alone = fit_method(method, shared, windows, {}, 0), fit_method(method, Base(tribe), windows, {}, 0)
    assert after.tensors.keys() == alone.tensors.keys()
    for name, tensor in after.tensors.items():
        assert torch.equal(tensor, alone.tensors[name])


def test_fewer_outputs_of_one_base_have_a_prediction_of_their_own(tribe, windows):
    base, latents = Base(tribe), Base(tribe).latents(windows)
    row = tribe.subjects.weights[-1].detach(), tribe.subjects.bias[-1].detach()
    residual(base, latents, row)
    for outputs in (torch.arange(4), torch.arange(4, 8)):
        few = [replace(part, bold=part.bold[:, outputs]) for part in latents]
        found = residual(base, few, (row[0][:, outputs], row[1][outputs]))
        expected = torch.cat([part.bold - part.values @ row[0][:, outputs] - row[1][outputs] for part in few])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)  # sums in another order


def test_what_was_not_asked_for_the_longest_leaves_a_full_memory(tribe, windows, monkeypatch):
    base, runs = Base(tribe), []
    monkeypatch.setattr("tribetune.adapt.base.window_latents", lambda *given: runs.append(1) or window_latents(*given))
    two = 2 * base.trunk_output(windows[0]).nbytes
    monkeypatch.setattr("tribetune.adapt.base.MOST_BYTES", two)
    base.kept("precision", lambda: "float32")
    for place in (1, 0, 2, 0):  # 1 is the oldest when 2 comes
        base.trunk_output(windows[place])
    assert len(runs) == 3
    base.trunk_output(windows[1])
    assert len(runs) == 4
    assert base.kept("precision", lambda: "bfloat16") == "float32"  # a decision stays
    large = principal_axes(torch.randn(100, 8, generator=torch.Generator().manual_seed(0)))
    assert base.kept("axes", lambda: large) is large  # with it, one window is the most that fits
    base.trunk_output(windows[3])
    base.trunk_output(windows[0])
    assert base.kept("axes", lambda: None) is None


def test_an_emptied_base_decides_as_before_and_has_its_memory_for_itself(tribe, windows):
    base = Base(tribe, precision="auto")
    base.trunk_output(windows[0])
    base.kept("one", lambda: torch.ones(1))
    own = base.emptied()
    assert own.precision == "auto"  # the products of a fit are judged by themselves
    assert own.kept("precision", lambda: "never asked") == base.chosen_precision(windows[0])
    assert own.kept("one", lambda: torch.zeros(1)) == 0
    assert base.kept("one", lambda: None) == 1


def test_outputs_that_are_defined_in_no_more_than_some_runs_are_refused(base, windows):
    few = [replace(window, bold=window.bold.copy()) for window in windows]
    for window in few:
        window.bold[window.mask, int(window.run[-1]) - 1 :: 3] = np.nan
    with pytest.raises(BoldError, match="none of 12 outputs is defined in all of the calibration data"):
        base.latents(few)
    for window in few:
        window.bold[:, -2] = windows[0].bold[:, 0]
    assert len(base.latents(few)) == 6  # one is enough


def test_a_window_is_known_by_its_content_checkpoint_and_precision(windows):
    window = windows[0]
    key = window_key(window, "a", "float32")
    changed = {**window.features, "text": window.features["text"] + np.float32(1e-3)}
    others = [
        window_key(replace(window, features=changed), "a", "float32"),
        window_key(window, "b", "float32"),
        window_key(window, "a", "bfloat16"),
        window_key(replace(window, features={"text": window.features["text"]}), "a", "float32"),
    ]
    assert len({key, *others}) == 5
    assert window_key(replace(window, run="other", start_s=300.0), "a", "float32") == key


def test_what_is_kept_on_disk_is_used_again_and_made_again_where_it_is_damaged(tribe, windows, tmp_path):
    first = Base(tribe, "hash", tmp_path).trunk_output(windows[0]).clone()  # not the pages that are damaged below
    (file,) = tmp_path.glob("*.safetensors")
    stamp = file.stat().st_mtime_ns
    assert torch.equal(Base(tribe, "hash", tmp_path).trunk_output(windows[0]), first)
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(file.read_bytes()[:-4] + b"oops")
    assert torch.equal(Base(tribe, "hash", tmp_path).trunk_output(windows[0]), first)
    assert torch.equal(Base(tribe, "hash", tmp_path).trunk_output(windows[0]), first)


def _mapped_file(tensor):
    """The file whose page has a tensor's first number."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        pages, *_, name = line.split()
        first, last = (int(end, 16) for end in pages.split("-"))
        if first <= tensor.data_ptr() < last:
            return name
    return None


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_what_is_kept_on_disk_is_mapped_and_holds_no_file_open(tribe, windows, tmp_path):
    made = Base(tribe, "hash", tmp_path).trunk_output(windows[0])
    again = Base(tribe, "hash", tmp_path).trunk_output(windows[0])
    (file,) = tmp_path.glob("*.safetensors")
    assert _mapped_file(made) == _mapped_file(again) == str(file)
    assert _mapped_file(Base(tribe).trunk_output(windows[0])) != str(file)
    assert file.resolve() not in {handle.resolve() for handle in Path("/proc/self/fd").iterdir()}


def test_what_is_mapped_takes_nothing_of_a_full_memory(tribe, windows, tmp_path, monkeypatch):
    monkeypatch.setattr("tribetune.adapt.base.MOST_BYTES", 0)
    on_disk, in_memory = Base(tribe, "hash", tmp_path), Base(tribe)
    for base, stays in ((on_disk, True), (in_memory, False)):
        first = base.trunk_output(windows[0])
        base.trunk_output(windows[1])
        assert (base.trunk_output(windows[0]) is first) == stays


@pytest.mark.parametrize("method", ["zero-shot", "gain", "ridge", "low-rank", "readout"])
def test_no_method_writes_into_what_is_kept(tribe, windows, tmp_path, method):
    expected = [output.clone() for output in Base(tribe).trunk_outputs(windows)]
    base = Base(tribe, "hash", tmp_path)
    base.trunk_outputs(windows)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    fit_method(method, base, windows, {}, 0)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert len(before) == 2 * len(windows)
    for kept, value in zip(base.trunk_outputs(windows), expected, strict=True):
        assert torch.equal(kept, value)


def test_a_tensor_is_a_copy_of_its_own_where_someone_writes_into_it(tribe, windows, tmp_path):
    output = Base(tribe, "hash", tmp_path).trunk_output(windows[0])
    expected = output.clone()
    output.zero_()
    assert torch.equal(Base(tribe, "hash", tmp_path).trunk_output(windows[0]), expected)


def test_a_file_that_is_replaced_leaves_those_who_have_it_mapped_as_they_were(tribe, windows, tmp_path):
    base = Base(tribe, "hash", tmp_path)
    output, expected = base.trunk_output(windows[0]), Base(tribe).trunk_output(windows[0])
    (file,) = tmp_path.glob("*.safetensors")
    write_arrays(file, {"values": np.zeros_like(expected.numpy())}, {})
    assert torch.equal(output, expected)
    assert torch.equal(base.trunk_output(windows[0]), expected)


def test_a_job_that_was_quicker_keeps_its_file(tribe, windows, tmp_path, monkeypatch):
    calls, files = [], []

    def overtaken(*given):
        calls.append(1)
        if len(calls) == 1:
            Base(tribe, "hash", tmp_path).trunk_output(windows[0])
            files.extend(sorted(file.stat().st_ino for file in tmp_path.iterdir()))
        return window_latents(*given)

    monkeypatch.setattr("tribetune.adapt.base.window_latents", overtaken)
    Base(tribe, "hash", tmp_path).trunk_output(windows[0])
    assert len(calls) == len(files) == 2
    assert sorted(file.stat().st_ino for file in tmp_path.iterdir()) == files


def test_bfloat16_is_taken_only_where_the_device_is_fast_and_r_stays(tribe, windows, monkeypatch):
    exact = window_latents(tribe, windows[0])
    assert keeps_r(tribe, exact, window_latents(tribe, windows[0], "bfloat16"))
    assert not keeps_r(tribe, exact, exact.flip(0))
    for fast, keeps, expected in ((True, True, "bfloat16"), (True, False, "float32"), (False, True, "float32")):
        monkeypatch.setattr("tribetune.adapt.base.has_fast_bf16", lambda _, fast=fast: fast)
        monkeypatch.setattr("tribetune.adapt.base.keeps_r", lambda *_, keeps=keeps: keeps)
        assert Base(tribe, precision="auto").chosen_precision(windows[0]) == expected
    assert not has_fast_bf16(torch.device("mps"))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_gives_the_same_adapters(tribe, windows, device):
    import copy

    from tribetune.adapt.methods import METHODS, fit_method

    there = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    if not there:
        pytest.skip(f"no {device} device here")
    moved = Base(copy.deepcopy(tribe).to(device))
    for method in METHODS:
        here, away = (fit_method(method, base, windows, {}, seed=33) for base in (Base(tribe), moved))
        for name, tensor in here.tensors.items():
            # sums in another order, through an epoch of steps
            torch.testing.assert_close(away.tensors[name].cpu(), tensor, atol=2e-3, rtol=2e-3)

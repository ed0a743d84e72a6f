"""Bundles made to do harm, or broken on the way: each is refused with its reason, and nothing of it is run."""

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tribetune.errors import AdaptationError
from tribetune.files import hash_file
from tribetune.share.bundle import load_adapter, read_facts
from tribetune.share.plain_files import MAX_BYTES, check_names

WEIGHTS, FACTS, LORA = "adapter_model.safetensors", "tribetune.json", "adapter_config.json"
LOW_RANK = {"readout.left": torch.zeros(4, 2), "readout.right": torch.zeros(3, 6)}
A, B = (f"base_model.model.trunk.attentions.0.branch.to_q.lora_{one}.weight" for one in "AB")


class Touch:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def edit(folder, change, name=FACTS):
    values = json.loads((folder / name).read_text())
    change(values)
    (folder / name).write_text(json.dumps(values))
    if name != FACTS:
        own_up(folder)


def own_up(folder):
    """Write the hashes of the files as they are now: an attacker can."""
    values = json.loads((folder / FACTS).read_text())
    for name in values["files"]:
        values["files"][name] = {"sha256": hash_file(folder / name), "size": (folder / name).stat().st_size}
    (folder / FACTS).write_text(json.dumps(values))


def with_tensors(change):
    def attack(folder):
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)
        own_up(folder)

    return attack


def with_header(header, data=b"", length=None):
    """A weights file with any header, and any claim about the header's length."""

    def attack(folder):
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
        own_up(folder)

    return attack


def with_bytes(make):
    def attack(folder):
        make(folder / WEIGHTS)
        own_up(folder)

    return attack


def zip_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("data.pkl", b"\0" * 10_000_000)


def link_to_secret(folder):
    (folder.parent / "secret").write_text("{}")
    (folder / LORA).unlink()
    (folder / LORA).symlink_to(folder.parent / "secret")


def twice(folder):
    text = (folder / FACTS).read_text()
    (folder / FACTS).write_text(text.replace("{", '{"method": "zero-shot",', 1))


ATTACKS = {
    "weights are a pickle": (
        with_bytes(lambda path: path.write_bytes(pickle.dumps(Touch(path.parent / "ran")))),
        "a pickle or an archive",
    ),
    "weights are a zip bomb": (with_bytes(zip_bomb), "a pickle or an archive"),
    "a pickle beside the weights": (
        lambda folder: (folder / "training_args.bin").write_bytes(pickle.dumps(Touch(folder / "ran"))),
        r"training_args\.bin could run code",
    ),
    "code beside the weights": (
        lambda folder: (folder / "modeling_tribe.py").write_text("raise SystemExit"),
        r"modeling_tribe\.py could run code",
    ),
    "an archive beside the weights": (lambda folder: zip_bomb(folder / "more.zip"), r"more\.zip is an archive"),
    "a link to elsewhere": (link_to_secret, "is a link to elsewhere"),
    "a file list that leads out": (
        lambda folder: edit(folder, lambda v: v["files"].update({"../../secret": v["files"][WEIGHTS]})),
        r"files are \.\./\.\./secret",
    ),
    "a header that claims a terabyte": (with_header({}, length=2**40), "declares 1,099,511,627,776 bytes"),
    "a header of many megabytes": (with_header(b"{" + b" " * 2_000_000 + b"}"), "declares 2,000,002 bytes, expected"),
    "a tensor that claims a terabyte": (
        with_header(
            {"readout.weights": {"dtype": "F32", "shape": [2**19, 2**19], "data_offsets": [0, 2**40]}}, b"1234"
        ),
        "declares 1,099,511,627,776 bytes of tensors, the file holds 4",
    ),
    "a tensor whose shape is not its bytes": (
        with_header({"readout.weights": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 4]}}, b"1234"),
        "no float tensor is described",
    ),
    "two tensors on the same bytes": (
        with_header({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}, b"1234"),
        "declares 4 bytes",
    ),
    "a tensor of objects": (
        with_header({"readout.weights": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        "no float tensor is described",
    ),
    "a header with a key twice": (with_header(b'{"a": {}, "a": {}}'), "key 'a' is there twice"),
    "weights cut off": (
        with_bytes(lambda path: os.truncate(path, path.stat().st_size - 7)),
        "bytes of tensors, the file holds",
    ),
    "weights cut off in the header": (with_bytes(lambda path: os.truncate(path, 40)), "cut off within its header"),
    "weights exchanged": (
        lambda folder: save_file({n: t + 1 for n, t in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS),
        "its hash is not the one",
    ),
    "weights missing": (lambda folder: (folder / WEIGHTS).unlink(), "cannot be read"),
    "weights not finite": (
        with_tensors(lambda t: t["readout.bias"].fill_(float("inf"))),
        r"readout\.bias is not finite",
    ),
    "a readout of other outputs": (
        with_tensors(lambda t: t.update({"readout.bias": torch.zeros(3)})),
        "bias has 3 outputs",
    ),
    "a readout of three axes": (
        with_tensors(lambda t: t.update({"readout.weights": torch.zeros(1, 4, 6)})),
        "expected 2 axes",
    ),
    "BOLD among the tensors": (with_tensors(lambda t: t.update(bold=torch.zeros(9, 6))), "holds bold, readout"),
    "a low-rank readout whose parts do not meet": (
        with_tensors(lambda t: (t.pop("readout.weights"), t.update(LOW_RANK))),
        "left has 2 ranks and readout.right has 3 ranks",
    ),
    "half a LoRA pair": (with_tensors(lambda t: t.pop(B)), "are not complete"),
    "a LoRA rank that would fill the memory": (
        lambda folder: edit(folder, lambda v: v.update(r=10**9), LORA),
        "but LoRA's rank is 1000000000",
    ),
    "LoRA on modules of its own choice": (
        lambda folder: edit(folder, lambda v: v.update(target_modules="(.*a+)+$"), LORA),
        "target_modules is",
    ),
    "a setting that makes peft import code": (
        lambda folder: edit(folder, lambda v: v.update(auto_mapping={"parent_library": "os"}), LORA),
        "setting 'auto_mapping' is not one of ours",
    ),
    "another kind of peft": (
        lambda folder: edit(folder, lambda v: v.update(peft_type="VERA"), LORA),
        "peft_type is 'VERA', expected LORA",
    ),
    "facts that are no JSON": (
        lambda folder: (folder / FACTS).write_text("!!python/object:os.system"),
        "cannot be read",
    ),
    "facts with a key twice": (twice, "key 'method' is there twice"),
    "facts nested without end": (lambda folder: (folder / FACTS).write_text("[" * 100_000), "cannot be read"),
    "facts of megabytes": (lambda folder: (folder / FACTS).write_text(" " * 1_000_001 + "{}"), "longer than 1,000,000"),
    "facts with an infinite number": (
        lambda folder: (folder / FACTS).write_text((folder / FACTS).read_text().replace("24.0", "1e999")),
        "1e999 is no number",
    ),
    "facts in another encoding": (lambda folder: (folder / FACTS).write_bytes(b"\xff\xfe{"), "cannot be read"),
    "facts of a future version": (lambda folder: edit(folder, lambda v: v.update(format=4)), "format 4, this"),
    "a row for another space of no size": (
        lambda folder: edit(folder, lambda v: v.update(format=3, n_outputs=None)),
        "does not tell n_outputs",
    ),
    "a version that is no number": (lambda folder: edit(folder, lambda v: v.update(format=True)), "format True"),
    "facts without hashes": (lambda folder: edit(folder, lambda v: v.pop("files")), "files are none"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_bundle_is_refused_with_its_reason(bundle, checkpoint, attack):
    load_adapter(bundle)  # before the attack, all is well
    change, reason = ATTACKS[attack]
    change(bundle)
    with pytest.raises(AdaptationError, match=reason) as refused:
        load_adapter(bundle)
    assert refused.value.hint
    assert not (bundle / "ran").exists()


def test_a_base_that_does_not_match_is_refused(bundle):
    with pytest.raises(AdaptationError, match="another checkpoint, 'tiny-tribe'"):
        load_adapter(bundle, "0" * 64)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "..\\evil", "C:evil", "", "a\0b"])
def test_a_listing_that_leads_out_is_refused_before_anything_is_fetched(name):
    with pytest.raises(AdaptationError, match="leads out of the adapter's folder"):
        check_names({WEIGHTS: 10, name: 1})


def test_a_file_that_would_fill_the_disk_is_refused_before_it_is_fetched():
    with pytest.raises(AdaptationError, match="at most"):
        check_names({WEIGHTS: MAX_BYTES + 1})


def test_the_hubs_own_links_are_followed_and_no_others(bundle, tmp_path):
    cache = tmp_path / "models--lab--adapter"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for number, path in enumerate(sorted(bundle.iterdir())):
        path.rename(cache / "blobs" / str(number))
        (snapshot / path.name).symlink_to(Path("..") / ".." / "blobs" / str(number))
    assert read_facts(snapshot)["method"] == "lora"
    (tmp_path / "elsewhere").write_text("{}")
    (snapshot / "README.md").unlink()
    (snapshot / "README.md").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdaptationError, match="is a link to elsewhere"):
        load_adapter(snapshot)

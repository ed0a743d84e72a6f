"""``tribetune hub`` on the command line, with a lab's own folder as the hub; the hub itself is in ``tests/share``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tribetune.adapt.adapter import BIAS, WEIGHTS, Adapter
from tribetune.model.checkpoint import find_checkpoint, identify
from tribetune.model.tribe import Tribe
from tribetune.share.bundle import read_facts, save_adapter
from tribetune.share.probe import record_probe

GOLDEN = Path(__file__).parent.parent / "golden" / "adapter-format-1"
TERMS = ("--consent", "project", "--licence", "apache-2.0")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on the shipped checkpoint, whose adapter was made up."""
    run = tmp_path_factory.mktemp("runs") / "sub-01"
    place = find_checkpoint("tribe-toy")
    tribe = Tribe.from_pretrained(place).requires_grad_(False)
    noise = torch.Generator().manual_seed(2)
    adapter = Adapter("readout", {WEIGHTS: torch.randn(64, 20484, generator=noise), BIAS: torch.zeros(20484)})
    facts = {"base": identify(place, "apache-2.0"), "space": "fsaverage5", "calibration_minutes": 24.0}
    save_adapter(adapter, run / "adapter", {**facts, "probe": record_probe(adapter, tribe)})
    (run / "predictions").mkdir()
    return run


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "sub-01"))


def test_push_pull_verify_and_ls_by_a_labs_own_folder(tribetune, run, tmp_path):
    place = tmp_path / "lab" / "sub-01"
    scores = np.random.default_rng(0).uniform(0, 0.3, 20484).astype(np.float32)
    np.savez(run / "scores.npz", readout=scores, fir=scores)
    pushed = tribetune("hub", "push", run, place, *TERMS, "--yes")
    assert pushed.exit_code == 0, pushed.output
    revision = pushed.stdout.strip().rpartition("@")[2]
    assert "scores.png" in pushed.stderr
    assert "private, consent project, licence apache-2.0" in pushed.stderr
    folder = Path(tribetune("hub", "pull", f"{place}@{revision}").stdout.strip())
    assert (folder / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "adapter_model.safetensors", "scores.png", "tribetune.json"
    }  # fmt: skip
    verified = tribetune("hub", "verify", place, "--json")
    assert json.loads(verified.stdout)["probe"] == "bitwise"
    (entry,) = json.loads(tribetune("hub", "ls", "--at", tmp_path / "lab", "--json").stdout)["entries"]
    assert (entry["base"], entry["about"]) == ("tribe-toy", "24 min, fsaverage5, readout")
    name, *lines = tribetune("hub", "ls", "--at", tmp_path / "lab").stdout.splitlines()
    assert name == entry["name"], "a name is never cut, however long"
    assert [line.split() for line in lines if line] == [
        ["adapter,", "folder"],
        ["base", "tribe-toy"],
        ["licence", "apache-2.0"],
        ["about", "24", "min,", "fsaverage5,", "readout"],
    ]


def test_nothing_is_sent_before_the_answer_is_yes(tribetune, run, tmp_path):
    result = tribetune("hub", "push", run, tmp_path / "lab", *TERMS)
    assert result.exit_code != 0
    assert "Send it?" in result.stderr
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "the scope of consent is not given"),
        (("--consent", "project"), "no licence is given"),
        ((*TERMS, "--public"), "not for everyone"),
    ],
)
def test_a_push_without_consent_or_licence_is_two_lines(tribetune, run, tmp_path, options, said):
    result = tribetune("hub", "push", run, tmp_path / "lab", *options, "--yes")
    assert result.exit_code == 2
    assert said in result.stderr
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]
    assert not (tmp_path / "lab").exists()


def test_a_licence_is_written_as_the_hub_writes_it(tribetune, run, tmp_path):
    spelt = ("--consent", "project", "--licence", "Apache-2.0")
    assert tribetune("hub", "push", run, tmp_path / "lab", *spelt, "--yes").exit_code == 0
    assert "license: apache-2.0" in tribetune("hub", "card", tmp_path / "lab").stdout


def test_a_run_of_several_adapters_asks_for_one(tribetune, run, tmp_path):
    shutil.copytree(run / "adapter", run / "adapter-lora")
    (run / "adapter").rename(run / "adapter-readout")
    result = tribetune("hub", "push", run, tmp_path / "lab", *TERMS, "--yes")
    assert "several adapters: adapter-lora, adapter-readout" in result.stderr
    assert tribetune("hub", "push", run / "adapter-lora", tmp_path / "lab", *TERMS, "--yes").exit_code == 0


def test_an_adapter_of_the_first_format_gets_hashes_and_a_probe_when_it_is_shared(tribetune, tmp_path):
    lab, base = tmp_path / "lab", ("--base", GOLDEN / "checkpoint")
    result = tribetune("hub", "push", GOLDEN / "adapter", lab, *TERMS, "--yes", *base)
    assert result.exit_code == 0, result.output
    folder = Path(tribetune("hub", "pull", lab).stdout.strip())
    facts = read_facts(folder)
    assert facts["format"] == 2
    assert facts["scores"]["mean_r"] == 0.25
    assert json.loads(tribetune("hub", "verify", lab, *base, "--json").stdout)["probe"] == "bitwise"
    assert "none was recorded" in tribetune("hub", "verify", GOLDEN / "adapter", *base).stdout


def test_the_card_is_printed(tribetune, run):
    card = tribetune("hub", "card", run).stdout
    assert "license: apache-2.0" in card.split("---")[1]
    assert "base_model_relation: adapter" in card


def test_ls_knows_checkpoints_without_the_hub(tribetune):
    result = tribetune("hub", "ls", "--json")
    assert {"tribe-toy", "facebook/tribev2"} <= {entry["name"] for entry in json.loads(result.stdout)["entries"]}
    assert "Left out: the hub: " in result.stderr
    assert "tribe-toy" in tribetune("hub", "ls", "toy").stdout

"""Adapters and checkpoints through a hub on localhost: sent, fetched, verified, interrupted, refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hub_server
import pytest
import torch
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file

import tribetune
from tribetune.errors import AdaptationError, CheckpointError
from tribetune.model.checkpoint import find_checkpoint, identify
from tribetune.model.hub import HubId, hub_id, source_of
from tribetune.model.tribe import Tribe
from tribetune.share.bundle import BUNDLE, UNCERTAINTY, load_adapter, read_facts
from tribetune.share.catalogue import cached, known_checkpoints, offered
from tribetune.share.hub import Terms, find_adapter, open_adapter, pull, push
from tribetune.share.plain_files import MAX_BYTES
from tribetune.share.verify import verify
from tribetune.shipped import shipped_folder

TERMS = Terms("research", "cc-by-nc-4.0", "lab@example.org")
NAME = "lab/tribe-sub-01"
GOLDEN = Path(__file__).parent.parent / "golden"


# the client's own upload of large files without Xet, nothing of ours
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def yes(_):
    return True


def test_push_pull_verify_predict_round_trip_is_bitwise(hub, bundle, tribe, trained, checkpoint):
    commit = push(bundle, NAME, TERMS, yes)
    folder = pull(f"{NAME}@{commit}")
    assert (folder / "adapter_model.safetensors").read_bytes() == (bundle / "adapter_model.safetensors").read_bytes()
    checks = {check.what: check.found for check in verify(folder, str(checkpoint))}
    assert checks["probe"] == "bitwise"
    assert checks["files"] == "2 hashes agree"
    assert checks["card"] == "agrees with tribetune.json"
    x = {"text": torch.randn(2, 2, 64, 40, generator=torch.Generator().manual_seed(1))}
    row = torch.tensor([0, 0])
    fetched = tribetune.load_adapter(NAME, base=checkpoint).apply(Tribe.from_pretrained(checkpoint))
    with torch.no_grad():
        assert torch.equal(fetched(x, row, 20), trained.apply(tribe)(x, row, 20))


def test_what_is_fetched_opens_in_plain_peft_and_plain_safetensors(hub, bundle, tribe, trained):
    from peft import PeftModel

    from tribetune.adapt.rows import share

    push(bundle, NAME, TERMS, yes)
    opened = PeftModel.from_pretrained(share(tribe), str(pull(NAME))).base_model.model
    x = {"text": torch.randn(1, 2, 64, 40, generator=torch.Generator().manual_seed(0))}
    with torch.no_grad():
        assert torch.equal(opened.latents(x, 20), trained.apply(tribe).latents(x, 20))
    plain = load_file(pull(NAME) / "adapter_model.safetensors")
    assert torch.equal(plain["readout.weights"], trained.tensors["readout.weights"])


def test_it_is_private_and_only_the_bundle_is_sent(hub, bundle):
    (bundle / "sub-01_bold.npz").write_bytes(b"BOLD")
    (bundle / "notes.txt").write_text("seen by nobody")
    shown = []
    (bundle / "sub-01_bold.npz").rename(bundle.parent / "sub-01_bold.npz")
    push(bundle, NAME, TERMS, lambda shipment: shown.append(shipment) or True)
    (repo,) = hub.repos.values()
    (_, files) = repo.commits.popitem()
    assert repo.private
    assert set(files) == set(BUNDLE) - {"scores.png", UNCERTAINTY}
    assert shown[0].kept_here == ("notes.txt",)
    assert shown[0].files == {name: len(data) for name, data in files.items()}
    sharing = json.loads(files["tribetune.json"])["sharing"]
    assert sharing == {"consent": "research", "licence": "cc-by-nc-4.0", "contact": "lab@example.org"}
    card = ModelCard(files["README.md"].decode())
    assert card.data.license == "cc-by-nc-4.0"
    assert f'load_adapter("{NAME}")' in card.text
    assert "researchers may have it on request" in card.text
    assert "sharing" not in read_facts(bundle)  # what is here stays as it is


def test_nothing_is_sent_without_a_yes(hub, bundle):
    assert push(bundle, NAME, TERMS, lambda _: False) is None
    assert hub.asked == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"consent": ""}, "the scope of consent is not given"),
        ({"consent": "surely"}, "'surely' is no scope of consent"),
        ({"licence": ""}, "no licence is given"),
        ({"licence": "mit"}, "mit allows commercial use"),
        ({"public": True}, "not for everyone: researchers may"),
        ({"contact": "see /home/anna/notes"}, "/home looks like a path on this machine"),
        ({"contact": r"C:\Users\anna"}, "looks like a path on this machine"),
    ],
)
def test_terms_that_do_not_allow_it_send_nothing(hub, bundle, change, said):
    with pytest.raises(AdaptationError, match=said):
        push(bundle, NAME, replace(TERMS, **change), yes)
    assert hub.asked == []


def test_an_adapter_for_everyone_is_found_by_search_and_others_are_not(hub, bundle):
    push(bundle, "lab/open", Terms("public", "cc-by-nc-4.0", public=True), yes)
    push(bundle, "lab/closed", TERMS, yes)
    (found,) = offered()
    assert (found.name, found.kind, found.base, found.licence) == ("lab/open", "adapter", "tiny-tribe", "cc-by-nc-4.0")
    assert offered("nothing like it") == []


def test_a_public_repository_does_not_get_what_was_to_be_private(hub, bundle):
    hub.repo(NAME, {"README.md": b"mine"})
    with pytest.raises(AdaptationError, match="is public, and this was to be private"):
        push(bundle, NAME, TERMS, yes)
    assert len(hub.repos[NAME].commits) == 1


def test_an_adapter_is_not_put_on_top_of_a_checkpoint_nor_the_reverse(hub, bundle, tribe):
    hub.repo("lab/checkpoint", {"model.safetensors": b"precious"}, private=True)
    with pytest.raises(AdaptationError, match=r"holds something else: model\.safetensors"):
        push(bundle, "lab/checkpoint", TERMS, yes)
    push(bundle, NAME, TERMS, yes)
    with pytest.raises(CheckpointError, match=r"holds something else: adapter_model\.safetensors"):
        Tribe(replace(tribe.config, licence="apache-2.0")).push_to_hub(NAME)


def test_an_interrupted_upload_leaves_no_half_adapter_and_goes_on(hub, bundle, tmp_path):
    picture = tmp_path / "scores.png"
    picture.write_bytes(b"\x89PNG" + bytes(1000))
    weights = read_facts(bundle)["files"]["adapter_model.safetensors"]["sha256"]
    hub.faults = [("PUT", weights, 100)] * 9  # more often than the client tries again
    with pytest.raises(AdaptationError, match=NAME) as stopped:
        push(bundle, NAME, TERMS, yes, picture=picture)
    assert "the same command continues" in stopped.value.hint
    assert len(hub.repos[NAME].commits) == 1  # the empty one
    hub.faults.clear()
    hub.asked.clear()
    push(bundle, NAME, TERMS, yes, picture=picture)
    assert hub.counted("PUT", "/lfs/") == 1  # the picture was there already
    assert "![Held-out scores" in (pull(NAME) / "README.md").read_text()


def test_an_interrupted_download_goes_on_where_it_broke_off(hub, bundle, monkeypatch):
    push(bundle, NAME, TERMS, yes)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 256)  # 10 MB of a real file
    hub.faults = [("GET", "adapter_model.safetensors", 700)]
    folder = pull(NAME)
    assert hub.ranges == ["bytes=512-"]
    assert (folder / "adapter_model.safetensors").read_bytes() == (bundle / "adapter_model.safetensors").read_bytes()


def test_files_that_arrived_before_a_stop_are_not_fetched_again(hub, bundle):
    push(bundle, NAME, TERMS, yes)
    hub.faults = [("GET", "adapter_model.safetensors", 0)] * 9  # more often than the client tries again
    with pytest.raises(AdaptationError, match=NAME) as stopped:
        pull(NAME)
    assert "the same command continues" in stopped.value.hint
    hub.faults.clear()
    hub.asked.clear()
    pull(NAME)
    assert hub.counted("GET", "/resolve/") == 1


def test_offline_the_cache_serves_and_what_is_not_there_says_so(hub, bundle, monkeypatch):
    push(bundle, NAME, TERMS, yes)
    folder = pull(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert pull(NAME) == folder
    with pytest.raises(AdaptationError, match="not in the cache"):
        pull("lab/other")
    assert hub.asked == []


def test_a_hub_that_is_down_is_no_hindrance_to_what_is_cached(hub, bundle, monkeypatch):
    push(bundle, NAME, TERMS, yes)
    folder = pull(NAME)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert pull(NAME) == folder
    with pytest.raises(AdaptationError, match="the hub"):
        offered()


def test_the_environment_of_the_client_is_heeded(hub, bundle, tmp_path):
    push(bundle, NAME, TERMS, yes)
    settings = {"HF_ENDPOINT": constants.ENDPOINT, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    environment = os.environ | settings | {"HF_TOKEN": hub_server.TOKEN, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "tribetune", "hub", "pull", NAME]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_relative_to(tmp_path / "home")
    assert "%" not in result.stderr  # the client's own bars would mix with ours


def test_a_second_push_replaces_what_the_first_one_had_more(hub, bundle, trained, facts, tmp_path):
    from tribetune.adapt.adapter import Adapter
    from tribetune.share.bundle import save_adapter

    first = push(bundle, NAME, TERMS, yes)
    readout = {name: tensor for name, tensor in trained.tensors.items() if name.startswith("readout")}
    told = {key: value for key, value in facts.items() if key != "probe"}
    save_adapter(Adapter("readout", readout), tmp_path / "second", told)
    second = push(tmp_path / "second", NAME, TERMS, yes)
    assert open_adapter(NAME).lora == {}
    assert open_adapter(f"{NAME}@{first}").lora == trained.lora
    hub.repos[NAME].tags["v2"] = second
    assert open_adapter(f"{NAME}@v2").method == "readout"


@pytest.mark.parametrize(
    ("name", "said"),
    [("lab/none", "no such repository, or it is private"), (f"{NAME}@v9", "no such revision")],
)
def test_what_the_hub_does_not_have_is_told(hub, bundle, name, said):
    push(bundle, NAME, TERMS, yes)
    with pytest.raises(AdaptationError, match=said) as told:
        pull(name)
    assert told.value.hint


def test_without_a_token_nothing_is_sent(hub, bundle, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(AdaptationError, match=NAME) as told:
        push(bundle, NAME, TERMS, yes)
    assert "hf auth" in told.value.hint
    assert hub.repos == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"../../evil.json": 3}, "leads out of the adapter's folder"),
        ({"optimizer.pt": 3}, r"optimizer\.pt could run code"),
        ({"modeling.py": 3}, r"modeling\.py could run code"),
        ({"adapter_model.safetensors": MAX_BYTES + 1}, "at most"),
    ],
)
def test_a_hostile_repository_is_refused_before_anything_is_fetched(hub, bundle, names, said):
    push(bundle, NAME, TERMS, yes)
    hub.extra_names = names
    hub.asked.clear()
    with pytest.raises(AdaptationError, match=said):
        pull(NAME)
    assert hub.counted("GET", "/resolve/") == 0


def test_a_repository_whose_files_were_exchanged_is_refused(hub, bundle):
    commit = push(bundle, NAME, TERMS, yes)
    files = hub.repos[NAME].commits[commit]
    weights = bytearray(files["adapter_model.safetensors"])
    weights[-1] ^= 1
    hub.repos[NAME].commit({**files, "adapter_model.safetensors": bytes(weights)})
    with pytest.raises(AdaptationError, match="its hash is not the one"):
        pull(NAME)
    pull(f"{NAME}@{commit}")


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nbase_model: !!python/object/apply:os.system [exit]\n---\n", "not safe YAML"),
        ("---\na: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{n}: &{n} [{', '.join(['*' + m] * 9)}]\n" for m, n in
         zip("abcdefg", "bcdefgh", strict=True)) + "---\n", "unfold to more than"),
        ("---\nbase_model: meta/other\n---\n", "base_model is 'meta/other'"),
        ("# no front matter\n", "has no front matter"),
    ],
)  # fmt: skip
def test_a_card_that_is_unsafe_or_says_otherwise_does_not_verify(bundle, checkpoint, card, said):
    (bundle / "README.md").write_text(card)
    with pytest.raises(AdaptationError, match=said):
        verify(bundle, str(checkpoint))


def test_another_checkpoint_or_a_changed_probe_does_not_verify(bundle, checkpoint, tmp_path):
    with pytest.raises(AdaptationError, match="another checkpoint"):
        verify(bundle, "tribe-toy")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        verify(bundle)
    told = read_facts(bundle)
    told["probe"]["sha256"] = "0" * 64
    told["probe"]["values"][3] += 0.1
    (bundle / "tribetune.json").write_text(json.dumps(told))
    with pytest.raises(AdaptationError, match="the probe's prediction differs"):
        verify(bundle, str(checkpoint))


def test_the_official_layout_opens_by_its_id_and_an_adapter_names_its_commit(hub):
    folder = GOLDEN / "public-small"
    files = {name: (folder / name).read_bytes() for name in ("best.ckpt", "config.yaml")}
    repo = hub.repo("facebook/tribev2", files | {"README.md": b"---\n---\n", "evil.py": b"raise SystemExit"})
    opened, local = Tribe.from_pretrained("facebook/tribev2"), Tribe.from_pretrained(folder)
    assert all(torch.equal(a, b) for a, b in zip(opened.parameters(), local.parameters(), strict=True))
    assert hub.counted("GET", "evil.py") == 0
    (commit,) = repo.commits
    told = identify(find_checkpoint("facebook/tribev2"), "cc-by-nc-4.0")
    assert (told["name"], told["id"], told["revision"]) == ("facebook/tribev2", "facebook/tribev2", commit)
    assert told["hash"] == identify(folder, "")["hash"]
    assert [(entry.name, entry.kind) for entry in cached()] == [("facebook/tribev2", "checkpoint")]


def test_a_checkpoint_of_ours_goes_to_the_hub_and_back_bitwise(hub, tribe):
    licensed = Tribe(replace(tribe.config, licence="apache-2.0")).eval()
    licensed.load_state_dict(tribe.state_dict())
    commit = licensed.push_to_hub("lab/tribe-mini")
    assert hub.repos["lab/tribe-mini"].private
    back = Tribe.from_pretrained(f"lab/tribe-mini@{commit}")
    assert back.config == licensed.config
    assert all(torch.equal(a, b) for a, b in zip(back.parameters(), licensed.parameters(), strict=True))


def test_a_checkpoint_is_not_sent_without_licence_or_with_subjects_who_were_not_asked(hub, tribe):
    with pytest.raises(CheckpointError, match="has no licence"):
        tribe.push_to_hub("lab/tribe-mini")
    own = Tribe(replace(tribe.config, rows=3, licence="apache-2.0"))
    with pytest.raises(CheckpointError, match="the readouts of 2 subjects"):
        own.push_to_hub("lab/tribe-mini")
    with pytest.raises(CheckpointError, match="is no id on the hub"):
        own.push_to_hub("mini", consent="research")
    assert hub.asked == []


def test_ids_are_told_from_paths():
    assert hub_id("facebook/tribev2") == HubId("facebook/tribev2")
    assert hub_id("facebook/tribev2@v1.0") == HubId("facebook/tribev2", "v1.0")
    for text in ("tribe-toy", "/lab/a", "./lab/a", "lab/a/b", "lab/../a", "s3://lab/a", "lab/a@"):
        assert hub_id(text) is None
    assert source_of(Path("/x/models--facebook--tribev2/snapshots/abc")) == HubId("facebook/tribev2", "abc")
    assert source_of(Path("/x/tribev2")) is None


def test_the_registry_names_every_shipped_checkpoint_and_no_other():
    known = {entry.name: entry.where for entry in known_checkpoints()}
    shipped = {path.parent.name for path in shipped_folder("checkpoints").glob("*/config.json")}
    assert {name for name, where in known.items() if where == "shipped"} == shipped
    assert known["facebook/tribev2"] == "hub"


def test_what_was_fetched_is_listed_and_what_is_faulty_says_why(hub, bundle):
    push(bundle, NAME, TERMS, yes)
    folder = pull(NAME)
    (entry,) = cached()
    assert (entry.name, entry.where, entry.base) == (NAME, "cache", "tiny-tribe")
    assert entry.about == "24 min, table, lora"
    (folder / "tribetune.json").resolve().write_text("{}")
    (entry,) = cached()
    assert "refused" in entry.about
    with pytest.raises(AdaptationError, match="format None"):
        load_adapter(find_adapter(NAME))

"""The group ``features`` as a user meets it."""

import inspect
import json
import re
import wave
from dataclasses import asdict

import numpy as np
import pytest

from tribetune.cli import features as verbs
from tribetune.features.encoders import Options
from tribetune.study.cluster import Asked

WORDS = "onset\tduration\tword\n" + "".join(f"{k / 2}\t0.2\tword{k % 7}\n" for k in range(30))


def write_sound(path, seconds=6, seed=0):
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9000, 9000, seconds * 8000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, len(noise), "NONE", ""))
        file.writeframes(noise.tobytes())
    return path


@pytest.fixture
def speech(tmp_path):
    """Six seconds of sound with words beside it."""
    (tmp_path / "speech_words.tsv").write_text(WORDS)
    return write_sound(tmp_path / "speech.wav")


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.tsv"
    path.write_text(WORDS)
    return path


@pytest.fixture
def ok(tribetune):
    """Run a command that has to succeed; its stdout, blanks made one, because tables break lines."""

    def run(*arguments):
        result = tribetune("features", *arguments)
        assert result.exit_code == 0, result.stderr
        return re.sub(r"[ \n]+", " ", result.stdout)

    return run


@pytest.fixture
def refused(tribetune):
    """Run a command that has to be refused in two lines; both of them, and stdout."""

    def run(*arguments):
        result = tribetune("features", *arguments)
        assert result.exit_code == 2, result.stderr
        error, hint = result.stderr.splitlines()[-2:]
        assert error.startswith("error: ")
        assert hint.startswith("hint: ")
        return error, hint, result.stdout

    return run


def test_stimuli_are_told_apart_by_their_stems_and_found_in_the_store_the_second_time(
    tribetune, speech, story, tmp_path
):
    first = tribetune("features", "extract", speech, story, "--store", tmp_path / "store")
    assert first.exit_code == 0, first.stderr
    assert "its words are those of speech_words.tsv" in first.stderr
    lines = first.stdout.splitlines()
    for modality, line in zip(("text", "audio"), lines, strict=False):
        assert re.fullmatch(rf"speech · {modality}: 2 layers × 64 dimensions × 30 steps .*made in [\d.]+ s", line)
    assert "speech · video: absent, it has none" in lines
    assert any(line.startswith("story · text: 2 layers") and "(30 words)" in line for line in lines)
    assert lines[-1].startswith("note: These are features of the tiny encoders: random weights")
    second = tribetune("features", "extract", speech, story, "--store", tmp_path / "store")
    assert [line.rpartition(", ")[2] for line in second.stdout.splitlines() if "steps" in line] == [
        "from the store"
    ] * 3


def test_without_words_text_is_absent_and_the_way_to_words_is_told(ok, tmp_path):
    sound = write_sound(tmp_path / "talk.wav")
    said = ok("extract", sound, "--store", tmp_path / "store")
    assert "talk · text: absent, it has no words; give them by --words FILE or as talk_words.tsv" in said
    assert "talk · audio: 2 layers" in said


def test_json_says_the_same(ok, speech, tmp_path):
    told = json.loads(ok("extract", speech, "--store", tmp_path / "store", "--modalities", "audio,video", "--json"))
    assert told["encoders"] == "tiny"
    audio, video = told["features"]
    assert {key: audio[key] for key in ("stimulus", "modality", "layers", "dim", "source")} == {
        "stimulus": "speech", "modality": "audio", "layers": 2, "dim": 64, "source": "made",
    }  # fmt: skip
    assert video == {"stimulus": "speech", "modality": "video", "source": "absent"}


def test_options_reach_the_encoders_and_exact_is_only_the_stride(ok, story, tmp_path):
    ok(
        "extract",
        story,
        "--store",
        tmp_path,
        "--exact",
        "--context-words",
        "8",
        "--setting",
        "mini",
        "--weights",
        "stored",
    )
    (sidecar,) = (tmp_path / "text").glob("*.json")
    identity = json.loads(sidecar.read_text())["identity"]
    assert (identity["stride_words"], identity["context_words"]) == (1, 8)
    assert (identity["setting"], identity["weights_dtype"]) == ("mini", "stored")
    assert "reference" not in identity


def test_ls_shows_what_is_there(ok, speech, story, tmp_path):
    ok("extract", speech, story, "--store", tmp_path / "store")
    shown = ok("ls", tmp_path / "store")
    assert re.search(r"speech audio tiny-\S+ released 2×64×12 0\.2 0\.0 complete", shown)
    rows = json.loads(ok("ls", tmp_path / "store", "--json"))["features"]
    # both stimuli have the same words, which are kept once
    assert [(row["stimulus"], row["modality"], row["rows"]) for row in rows] == [
        ("speech", "text", 30),
        ("speech", "audio", 12),
        ("story", "text", 30),
    ]
    assert len({row["file"] for row in rows}) == 2
    (array,) = (tmp_path / "store/audio").glob("*.safetensors")
    parts = array.with_suffix(".parts")
    array.with_suffix(".json").unlink()
    parts.mkdir()
    (parts / "about.json").write_text(
        '{"modality": "audio", "encoder": "tiny/audio", "setting": "released", "rows": 16}'
    )
    np.save(parts / "00000000-00000004-maker.npy", np.zeros((4, 2, 64), np.float32))
    assert "partial, 25%" in ok("ls", tmp_path / "store")


def test_a_damaged_file_is_named_and_the_same_command_makes_it_again(ok, refused, speech, tmp_path):
    store = tmp_path / "store"
    extract = ("extract", speech, "--store", store)
    ok(*extract)
    assert "all files are sound" in ok("verify", store)
    (array,) = (store / "audio").glob("*.safetensors")
    sound = array.read_bytes()
    array.write_bytes(sound[:-1] + b"\x17")
    error, hint, shown = refused("verify", store)
    assert f"{array}: its content has changed" in shown.replace("\n", " ")
    assert "1 damaged files" in error
    assert "same `tribetune features extract` command" in hint
    assert array.is_file()
    ok(*extract)
    assert array.read_bytes() == sound
    assert "all files are sound" in ok("verify", store)
    array.write_bytes(sound[:-1] + b"\x17")
    assert "removed" in refused("verify", store, "--remove-bad")[0]
    assert not array.exists()
    assert ok("verify", store, "--json") == '{ "arrays": 1, "faults": [] } '
    ok(*extract)
    assert array.read_bytes() == sound


def test_export_writes_arrays_for_other_programs(ok, speech, story, tmp_path):
    ok("extract", speech, story, "--store", tmp_path / "store")
    said = ok("export", tmp_path / "store", tmp_path / "all.npz")
    assert "speech/audio: 2 layers × 64 dimensions × 30 steps" in said
    with np.load(tmp_path / "all.npz") as arrays:
        assert set(arrays.files) == {
            "speech/text", "speech/audio", "speech/duration_s", "story/text", "story/duration_s",
        }  # fmt: skip
        whole = arrays["speech/audio"]
    ok("export", tmp_path / "store", tmp_path / "one.npz", "--stimulus", "speech", "--start", "2", "--duration", "4")
    with np.load(tmp_path / "one.npz") as arrays:
        assert set(arrays.files) == {"text", "audio", "duration_s"}
        assert arrays["duration_s"] == 4
        np.testing.assert_array_equal(arrays["audio"], whole[:, :, 4:12])


def test_what_a_user_can_mend_is_told_in_two_lines(refused, speech, story, tmp_path):
    store = tmp_path / "store"
    error, hint, _ = refused("extract", speech, story, "--words", story, "--store", store)
    assert "with 2 stimuli (speech, story)" in error
    assert "speech_words.tsv" in hint
    assert "modality 'smell'" in refused("extract", speech, "--modalities", "smell", "--store", store)[0]
    assert "no such file" in refused("extract", tmp_path / "film.mp4", "--store", store)[0]
    assert "no stimulus" in refused("extract", "--store", store)[0]
    assert "--cluster sge" in refused("extract", speech, "--cluster", "sge", "--store", store)[0]
    for verb in ("ls", "verify"):
        error, hint, _ = refused(verb, tmp_path / "nowhere")
        assert "is no folder" in error
        assert f"--store {tmp_path / 'nowhere'}" in hint


def test_an_export_that_cannot_be_made_is_refused_and_leaves_no_file(ok, refused, story, tmp_path):
    ok("extract", story, "--store", tmp_path / "store")
    assert "it has story" in refused("export", tmp_path / "store", tmp_path / "o.npz", "--stimulus", "film")[0]
    assert "are written as .npz" in refused("export", tmp_path / "store", tmp_path / "o.h5")[0]
    assert "nothing to export" in refused("export", tmp_path / "store", tmp_path / "o.npz", "--start", "99")[0]
    assert not list(tmp_path.glob("*.npz"))
    assert not list(tmp_path.glob(".part*"))


def test_encoders_that_are_not_here_are_named_with_the_way_to_them(refused, story, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))  # nobody's own copy
    error, hint, _ = refused("extract", story, "--encoders", "released", "--store", tmp_path / "store")
    assert "meta-llama/Llama-3.2-3B is not on this machine" in error
    assert "accept its licence" in hint
    assert "open alternative is `mini`" in hint
    error, hint, _ = refused("extract", story, "--encoders", "mini", "--store", tmp_path / "store")
    assert "Qwen/Qwen3-0.6B" in error
    assert "hf download Qwen/Qwen3-0.6B" in hint


def test_the_help_tells_the_defaults_that_are_used():
    parameters = inspect.signature(verbs.extract).parameters
    for name, value in asdict(Asked()).items():
        assert parameters[name].default == value, name
    told = Options()
    for name, default in (
        ("context_words", told.context_words),
        ("stride_words", told.stride_words),
        ("weights", told.weights),
        ("last_state", "normed" if told.normed_last_state else "raw"),
        ("setting", told.setting),
    ):
        assert parameters[name].default is None
        (option,) = parameters[name].annotation.__metadata__
        assert f"default {default}" in option.help, name


@pytest.mark.slow
def test_a_cluster_of_this_machine_fills_the_same_store(ok, speech, tmp_path):
    ok("extract", speech, "--store", tmp_path / "here", "--device", "cpu")
    said = ok("extract", speech, "--store", tmp_path / "there", "--device", "cpu", "--cluster", "local", "--cpus", "1")
    assert "speech · audio: 2 layers × 64 dimensions × 30 steps of 0.5 s, from the store" in said
    here, there = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "here", tmp_path / "there")
    )
    assert here == there

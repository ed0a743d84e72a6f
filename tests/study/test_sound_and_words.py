"""A study of sound and words: what is lost when either is taken away, and what loudness alone predicts."""

import csv
import wave

import numpy as np
import pytest
import torch
import yaml

from tests.study.conftest import recipe
from tribetune.evaluate.predict import predict_run
from tribetune.features.encoders import encoders
from tribetune.features.extract import extract
from tribetune.model.checkpoint import save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig
from tribetune.stimulus.timeline import timeline_of_files
from tribetune.study.adapt import adapt
from tribetune.study.rescore import rescore
from tribetune.windows import without_bold

WORDS, N_RUNS, LENGTH_S, HZ = ("red", "dog", "house", "rain", "two", "men"), 2, 120, 8000


@pytest.fixture(scope="module")
def heard_folder(tmp_path_factory):
    """Two runs of words and noise of changing loudness; BOLD is what a model of both predicts, and noise."""
    folder = tmp_path_factory.mktemp("heard")
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    config = TribeConfig(
        modalities={"text": (2, 64), "audio": (2, 64)}, hidden=64, depth=1, heads=2, low_rank=6, n_outputs=4, rows=1,
        space="table", subject_dropout=0.1, encoders={name: {"encoders": "tiny"} for name in ("text", "audio")},
    )  # fmt: skip
    tribe = Tribe(config).eval()
    save_checkpoint(tribe, folder / "checkpoint")
    for run in range(1, N_RUNS + 1):
        words = folder / f"words-{run}.tsv"
        onsets = np.arange(0.5, LENGTH_S - 1, 0.9)
        rows = [f"{onset:.2f}\t0.2\t{rng.choice(WORDS)}" for onset in onsets]
        words.write_text("onset\tduration\tword\n" + "\n".join(rows) + "\n")
        write_sound(folder / f"sound-{run}.wav", rng)
        timeline = timeline_of_files([folder / f"sound-{run}.wav"], words)
        features = extract(timeline, encoders("tiny"), ["text", "audio"], folder / "features")
        signal = predict_run(tribe, without_bold(features), None)
        volumes = np.arange(LENGTH_S // 2) * 2.0
        bold = np.stack([np.interp(volumes, np.arange(len(signal)) + 5.0, column) for column in signal.T], axis=1)
        noise = rng.standard_normal(bold.shape) * bold.std(0)
        np.savez(folder / f"sub-01_run-{run}.npz", bold=(bold + noise).astype(np.float32))
    told = recipe(folder)
    told["data"]["tables"]["media"] = str(folder / "sound-{run}.wav")
    told["data"]["split"]["test"] = [N_RUNS]
    told["features"]["modalities"] = ["text", "audio"]
    told["adaptation"] = {"method": "gain"}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(told))
    return folder


def write_sound(path, rng):
    loudness = np.repeat(rng.random(LENGTH_S), HZ)
    samples = (8000 * loudness * rng.standard_normal(LENGTH_S * HZ)).clip(-32000, 32000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, HZ, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


@pytest.fixture(scope="module")
def result(heard_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("unique") / "run"
    return adapt(str(heard_folder / "recipe.yaml"), ["evaluation.unique_contribution=true"], out)


def test_every_model_says_what_each_modality_alone_adds_and_linear_baselines_do_not(result):
    rows = {row["method"]: row for row in result.rows}
    assert {"unique_text", "unique_audio"} <= set(rows["zero-shot"])
    assert {"unique_text", "unique_audio"} <= set(rows["gain"])
    assert "unique_text" not in rows["fir"]
    assert rows["zero-shot"]["unique_text"] != rows["zero-shot"]["unique_audio"]


def test_a_unique_contribution_is_what_predicting_without_it_loses(result, heard_folder):
    tribe = Tribe.from_pretrained(str(heard_folder / "checkpoint")).eval()
    timeline = timeline_of_files([heard_folder / "sound-2.wav"], heard_folder / "words-2.tsv")
    bold = np.load(heard_folder / "sub-01_run-2.npz")["bold"]

    def r(modalities):
        features = extract(timeline, encoders("tiny"), modalities, heard_folder / "features")
        predicted = predict_run(tribe, without_bold(features), None)
        n = min(len(predicted), LENGTH_S - 7)
        at_1_hz = [np.interp(np.arange(n) + timeline.start_s + 5.0, np.arange(len(bold)) * 2.0, v) for v in bold.T]
        return np.array([np.corrcoef(predicted[:n, k], at_1_hz[k])[0, 1] for k in range(4)])

    with np.load(result.folder / "scores.npz") as scores:
        found = scores["zero_shot_unique_audio"]
    # the run's last seconds and the detrending of its BOLD are not repeated here
    np.testing.assert_allclose(found, r(["text", "audio"]) - r(["text"]), atol=0.05)


def test_every_set_of_modalities_has_its_score_and_its_part_per_parcel(result):
    with (result.folder / "modalities.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["method"] for row in rows} == {"zero-shot", "gain"}
    of_all = {row["from"]: row for row in rows if (row["method"], row["parcel"]) == ("gain", "all outputs")}
    assert list(of_all) == ["text+audio", "text", "audio"]
    assert {row["kind"] for row in of_all.values()} == {"shared", "unique"}
    assert sum(float(row["contribution"]) for row in of_all.values()) == pytest.approx(
        float(of_all["text+audio"]["mean_r"]), abs=1e-5
    )
    told = {row["method"]: row for row in result.rows}["gain"]
    assert told["mean_r"] == pytest.approx(float(of_all["text+audio"]["mean_r"]), abs=1e-5)
    assert [row["from"] for row in told["modalities"]] == list(of_all)
    assert {row["parcel"] for row in told["modalities"]} == {"all outputs"}
    with np.load(result.folder / "scores.npz") as scores:
        parts = [scores[f"gain_{name}"] for name in ("shared_text+audio", "unique_text", "unique_audio")]
        np.testing.assert_allclose(np.sum(parts, axis=0), scores["gain_r_text+audio"], atol=1e-6)


def test_scores_of_every_set_are_found_again_from_what_was_saved(result):
    assert rescore(result.folder).rows == result.rows


def test_sets_of_modalities_are_scored_at_the_volumes_where_everything_is(heard_folder, tmp_path):
    wanted = ["evaluation.unique_contribution=true", "evaluation.native_t_r=true", "adaptation.method=zero-shot"]
    row = adapt(str(heard_folder / "recipe.yaml"), wanted, tmp_path / "run").rows[0]
    assert row["n_samples"] <= LENGTH_S // 2
    assert row["modalities"][0]["from"] == "text+audio"
    assert row["modalities"][0]["mean_r"] == pytest.approx(row["mean_r"], abs=1e-5)  # float32
    assert row["modalities"][1]["mean_r"] != row["modalities"][2]["mean_r"]


def test_one_modality_has_nothing_to_be_taken_from_and_words_for_it(heard_folder, tmp_path):
    wanted = ["evaluation.unique_contribution=true", "features.modalities=[text]", "adaptation.method=zero-shot"]
    found = adapt(str(heard_folder / "recipe.yaml"), wanted, tmp_path / "run")
    assert "modalities" not in found.rows[0]
    assert any("Unique contributions are not defined" in note and "only text" in note for note in found.notes)
    assert not (found.folder / "modalities.tsv").exists()


def test_parcels_have_it_too_and_without_the_option_nobody_has(result, heard_folder, tmp_path):
    with (result.folder / "scores.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["unique_audio"] for row in rows if row["method"] == "fir"} == {"n/a"}
    (everywhere,) = [row for row in rows if (row["method"], row["parcel"]) == ("gain", "all outputs")]
    told = {row["method"]: row for row in result.rows}["gain"]
    assert float(everywhere["unique_audio"]) == pytest.approx(told["unique_audio"], rel=1e-4)
    plain = adapt(str(heard_folder / "recipe.yaml"), [], tmp_path / "run")
    assert not any("unique_audio" in row for row in plain.rows)


def test_the_nuisance_model_hears_the_sound_and_decodes_it_once(heard_folder, tmp_path):
    told = str(heard_folder / "recipe.yaml")
    wanted = ["evaluation.baselines=[nuisance]", "adaptation.method=zero-shot"]
    rows = {row["method"]: row for row in adapt(told, wanted, tmp_path / "run").rows}
    assert rows["nuisance"]["trained_parameters"] == (2 * 4 + 2) * 4  # two measures at four delays, and the position
    kept = {path: path.stat().st_mtime_ns for path in (heard_folder / "low-level").glob("*.safetensors")}
    assert len(kept) == N_RUNS
    again = {row["method"]: row for row in adapt(told, wanted, tmp_path / "again").rows}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert again["nuisance"]["mean_r"] == rows["nuisance"]["mean_r"]

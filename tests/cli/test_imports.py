"""``tribetune features import``, and the options of ``--cluster``."""

import json
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "story.tsv"
    path.write_text("onset\tduration\tword\n0\t0.3\tonce\n1\t0.3\tupon\n2\t1.0\ttime\n")
    return path


@pytest.fixture
def features(tmp_path):
    path = tmp_path / "features.npz"
    np.savez(path, text=np.ones((2, 5, 6), np.float32))
    return path


def test_an_import_says_what_came_in(tribetune, words, features, tmp_path):
    command = ("features", "import", features, "--words", words, "--store", tmp_path / "store")
    result = tribetune(*command)
    assert result.exit_code == 0, result.output
    assert result.stdout == "text: 2 layers × 5 dimensions × 6 steps of 0.5 s, imported\n"
    assert json.loads(tribetune(*command, "--json").stdout) == {"text": [2, 5, 6]}


def test_what_was_imported_is_listed_verified_and_exported(tribetune, words, features, tmp_path):
    store = tmp_path / "store"
    tribetune("features", "import", features, "--words", words, "--store", store)
    (row,) = json.loads(tribetune("features", "ls", store, "--json").stdout)["features"]
    assert row["stimulus"].startswith("story")
    facts = ("imported", "as imported", 6, "complete")
    assert (row["encoder"], row["setting"], row["rows"], row["state"]) == facts
    assert tribetune("features", "verify", store).exit_code == 0
    assert tribetune("features", "export", store, tmp_path / "out.npz").exit_code == 0
    with np.load(tmp_path / "out.npz") as exported:
        np.testing.assert_array_equal(exported["text"], np.ones((2, 5, 6)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hz", "1"], "1 Hz, expected 2 Hz"),
        (["--modality", "smell"], "'smell' is not known"),
        (["--setting", "best"], "'best' is not known"),
        (["--modality", "audio"], "no audio, got text"),
    ],
)
def test_what_cannot_be_imported_is_told_in_two_lines(tribetune, words, features, tmp_path, options, said):
    result = tribetune("features", "import", features, "--words", words, "--store", tmp_path / "store", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]
    assert not (tmp_path / "store").exists()


def test_an_import_without_a_stimulus_is_refused(tribetune, features, tmp_path):
    result = tribetune("features", "import", features, "--store", tmp_path / "store")
    assert result.exit_code == 2
    assert "without events" in result.stderr


@pytest.mark.slow
def test_a_local_cluster_leaves_nothing_to_do_and_a_clean_stdout(tribetune, words, tmp_path):
    arguments = ["features", "extract", str(words), "--store", str(tmp_path / "store"), "--json"]
    arguments += ["--cluster", "local", "--cpus", "1"]
    command = [sys.executable, "-m", "tribetune", *arguments]
    first = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    second = tribetune(*arguments)
    for result in (first, second):
        (text,) = [row for row in json.loads(result.stdout)["features"] if row["modality"] == "text"]
        assert text["source"] == "store"
        assert text["words"] == 3
    assert "1 jobs on local: story · text" in first.stderr
    assert "jobs on" not in second.stderr

"""What lies in a store, and whether it is sound."""

import json
from pathlib import Path

import numpy as np
import pytest

from tribetune.features.catalogue import faults_in, kept_in
from tribetune.features.parts import Parts
from tribetune.features.store import Entry, write_entry

FILM = Entry("video", "c" * 64, {"weights": "w"})
WORDS = Entry("text", "d" * 64, {"weights": "v"})
ABOUT = {"encoder": "tiny/video", "setting": "released", "reference": False, "file": "film.mp4", "duration_s": 5.02}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    write_entry(tmp_path, FILM, rng.standard_normal((10, 2, 3)).astype(np.float16), ABOUT)
    write_entry(tmp_path, WORDS, rng.standard_normal((7, 2, 3)).astype(np.float16), {"words": 7})
    return tmp_path


def test_a_sound_store_is_listed_and_has_no_fault(store: Path) -> None:
    words, film = kept_in(store)
    assert (film.modality, film.state, film.share, film.encoder, film.setting) == (
        "video", "complete", 1.0, "tiny/video", "released",
    )  # fmt: skip
    assert film.n_bytes == FILM.array_file(store).stat().st_size
    assert film.entry == FILM
    assert words.variant != film.variant
    assert list(faults_in(store)) == []


def test_an_array_that_is_not_finished_is_partial_and_no_fault(store: Path) -> None:
    entry = Entry("audio", "e" * 64, {})
    parts = Parts(entry.parts(store), "maker")
    parts.begin({**ABOUT, "modality": "audio", "content": entry.content, "rows": 40})
    parts.save(0, np.ones((10, 2, 3), np.float32))
    (kept,) = [one for one in kept_in(store) if one.modality == "audio"]
    assert (kept.state, kept.share, kept.content) == ("partial", 0.25, entry.content)
    assert kept.n_bytes > 10 * 2 * 3 * 4
    assert list(faults_in(store)) == []


def damage_hash(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x33")


def damage_size(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def damage_sidecar(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


def nonsense_in_sidecar(path: Path) -> None:
    path.with_suffix(".json").write_text('{"shape": [1], "duration_s": "x"}')


def lose_sidecar(path: Path) -> None:
    path.with_suffix(".json").unlink()


def swap_identity(path: Path) -> None:
    told = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**told, "identity": {"weights": "another's"}}))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_hash, "its content has changed since it was written"),
        (damage_size, "bytes, its sidecar says"),
        (damage_sidecar, "Expecting property name"),
        (nonsense_in_sidecar, "'content' is missing"),
        (lose_sidecar, "No such file"),
        (swap_identity, "its sidecar tells of something else"),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_not(store: Path, damage, says: str) -> None:
    damage(FILM.array_file(store))
    ((path, fault),) = faults_in(store)
    assert path == FILM.array_file(store)
    assert says in fault
    kept = {one.modality: one for one in kept_in(store)}
    assert kept["text"].state == "complete"
    assert not {"shape", "duration_s"} & set(kept["video"].told if kept["video"].state == "damaged" else ())


def test_values_that_are_not_finite_and_wrong_lengths_are_faults(tmp_path: Path) -> None:
    spoiled = np.ones((10, 2, 3), np.float16)
    spoiled[4:6, 0, 0] = np.nan
    write_entry(tmp_path, FILM, spoiled, ABOUT)
    write_entry(tmp_path, WORDS, np.ones((7, 2, 3), np.float16), {"words": 8})
    write_entry(tmp_path, Entry("audio", "e" * 64, {}), np.ones((8, 2, 3), np.float16), ABOUT)
    assert {path.parent.name: fault for path, fault in faults_in(tmp_path)} == {
        "text": "it has 7 rows for 8 words",
        "audio": "it has 8 steps, 5.02 s need 10",
        "video": "2 values are not finite",
    }


def test_a_step_more_or_less_is_the_rounding_of_chunks(tmp_path: Path) -> None:
    for n in (9, 11):
        write_entry(tmp_path, FILM, np.ones((n, 2, 3), np.float16), ABOUT)
        assert list(faults_in(tmp_path)) == []


def test_a_stimulus_record_that_cannot_be_read_is_named(store: Path) -> None:
    record = store / "stimuli/film.json"
    record.parent.mkdir()
    record.write_text('{"name": "film", "events": []}')
    assert list(faults_in(store)) == [(record, "cannot be read (it has no events)")]

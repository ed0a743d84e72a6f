"""Features on disk."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tribetune.features.store import Entry, is_kept, read_entry, write_entry

ENTRY = Entry("audio", "c" * 64, {"weights": "w", "groups": [[1, 2]]})
VALUES = np.arange(24, dtype=np.float16).reshape(2, 3, 4)


def test_what_was_written_is_mapped_into_memory_unchanged(tmp_path: Path) -> None:
    assert read_entry(tmp_path, ENTRY) is None
    write_entry(tmp_path, ENTRY, VALUES, {"file": "film.mp4"})
    found = read_entry(tmp_path, ENTRY)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, VALUES)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_the_file_is_plain_safetensors_with_a_sidecar_that_explains_it(tmp_path: Path) -> None:
    write_entry(tmp_path, ENTRY, VALUES, {"file": "film.mp4"})
    np.testing.assert_array_equal(load_file(tmp_path / f"{ENTRY.name}.safetensors")["features"], VALUES)
    sidecar = json.loads((tmp_path / f"{ENTRY.name}.json").read_text())
    assert sidecar["identity"] == ENTRY.identity
    assert (sidecar["shape"], sidecar["file"]) == ([2, 3, 4], "film.mp4")


def test_another_content_or_identity_is_another_entry(tmp_path: Path) -> None:
    write_entry(tmp_path, ENTRY, VALUES, {})
    assert read_entry(tmp_path, Entry("audio", "d" * 64, ENTRY.identity)) is None
    assert read_entry(tmp_path, Entry("audio", ENTRY.content, {"weights": "v"})) is None
    assert read_entry(tmp_path, Entry("video", ENTRY.content, ENTRY.identity)) is None


@pytest.mark.parametrize("damage", ["cut", "longer", "no sidecar", "half a sidecar", "another's sidecar", "no header"])
def test_a_damaged_entry_is_as_good_as_none(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    write_entry(tmp_path, ENTRY, VALUES, {})
    path, sidecar = tmp_path / f"{ENTRY.name}.safetensors", tmp_path / f"{ENTRY.name}.json"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    elif damage == "another's sidecar":
        sidecar.write_text(sidecar.read_text().replace('"weights": "w"', '"weights": "v"'))
    elif damage == "no header":
        path.write_bytes(b"x" * path.stat().st_size)
    elif damage == "no sidecar":
        sidecar.unlink()
    else:
        sidecar.write_text(sidecar.read_text()[:20])
    assert not is_kept(tmp_path, ENTRY)
    assert read_entry(tmp_path, ENTRY) is None
    assert ("damaged" in caplog.text) == (damage != "no sidecar")  # without a sidecar it was never finished


def test_nothing_half_written_is_left_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_entry(tmp_path, ENTRY, VALUES, {})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_several_writers_at_once_leave_one_whole_entry(tmp_path: Path) -> None:
    threads = [threading.Thread(target=write_entry, args=(tmp_path, ENTRY, VALUES, {})) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(read_entry(tmp_path, ENTRY), VALUES)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_a_content_that_changed_is_only_seen_by_its_hash(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_entry(tmp_path, ENTRY, VALUES, {})
    path = ENTRY.array_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert read_entry(tmp_path, ENTRY) is not None
    assert read_entry(tmp_path, ENTRY, verify=True) is None
    assert f"{path} is damaged (its content has changed" in caplog.text


def test_any_stretch_is_read_without_the_rest(tmp_path: Path) -> None:
    write_entry(tmp_path, ENTRY, np.arange(6_000_000, dtype=np.float32).reshape(1000, 2, 3000), {})
    found = read_entry(tmp_path, ENTRY)
    assert isinstance(found, np.memmap)
    stretch = found[500:503]
    assert isinstance(stretch, np.memmap)  # still on disk
    assert stretch[0, 0, 0] == 3_000_000

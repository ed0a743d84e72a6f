import errno
import json

import pytest

from tribetune.files import hash_file, whole, write_json, write_text


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "note.txt"
    with whole(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.suffix == ".txt"
    assert path.read_text() == "half"
    assert [entry.name for entry in path.parent.iterdir()] == ["note.txt"]


def test_a_failure_leaves_no_empty_folders(tmp_path):
    def fail():
        with whole(tmp_path / "deep" / "deeper" / "note.txt"):
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", [OSError("no space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, fault):
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def fail():
        with whole(path) as part:
            part.write_text("new")
            raise fault

    with pytest.raises(type(fault)):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["note.txt"]


def test_nan_becomes_null_in_json(tmp_path):
    write_json(tmp_path / "a.json", {"r": float("nan"), "rows": [(1.0, float("nan"))]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"r": None, "rows": [[1.0, None]]}


def test_a_hash_is_of_the_content(tmp_path):
    write_text(tmp_path / "a", "same")
    write_text(tmp_path / "b", "same")
    write_text(tmp_path / "c", "other")
    assert hash_file(tmp_path / "a") == hash_file(tmp_path / "b") != hash_file(tmp_path / "c")


def test_a_full_disk_has_its_number_and_the_files_own_name_whoever_writes(tmp_path):
    path = tmp_path / "weights.safetensors"

    def write(error):
        with whole(path):
            raise error

    with pytest.raises(OSError, match=r"weights\.safetensors") as in_words:  # as writers in Rust tell it
        write(RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"))
    with pytest.raises(OSError, match="quota") as by_number:
        write(OSError(errno.EDQUOT, "Disk quota exceeded", str(tmp_path / ".part-1-weights.safetensors")))
    assert (in_words.value.errno, by_number.value.errno) == (errno.ENOSPC, errno.EDQUOT)
    assert in_words.value.filename == by_number.value.filename == str(path)
    with pytest.raises(ValueError, match="not a disk"):
        write(ValueError("not a disk"))

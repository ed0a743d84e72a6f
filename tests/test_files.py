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

import pytest

from tribetune.errors import CheckpointError
from tribetune.model.safe_yaml import MAX_BYTES, read_yaml


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


def test_the_three_tags_become_plain_values(written):
    text = """
a: !!python/tuple [1, 2]
b: !!python/object/apply:pathlib.PosixPath [/, tmp, x]
c: !!python/object/apply:collections.OrderedDict
- - - one
    - {deep: true}
  - [two, 2]
d: !!python/object/apply:collections.OrderedDict []
"""
    assert read_yaml(written(text)) == {"a": (1, 2), "b": "/tmp/x", "c": {"one": {"deep": True}, "two": 2}, "d": {}}


@pytest.mark.parametrize(
    "line",
    [
        "!!python/object/apply:os.mkdir [{trap}]",
        "!!python/object/apply:subprocess.check_output [[touch, {trap}]]",
        "!!python/object/new:os.mkdir [{trap}]",
        "!!python/name:os.system ''",
        "!!python/module:os ''",
        "!!python/object/apply:pathlib.PosixPath {{args: [{trap}]}}",
        "!!python/object/apply:pathlib.WindowsPath [x]",
        "!custom {trap}",
    ],
)
def test_any_other_tag_is_refused_and_nothing_runs(written, tmp_path, line):
    trap = tmp_path / "trap"
    with pytest.raises(CheckpointError, match="not safe YAML"):
        read_yaml(written("a: " + line.format(trap=trap)))
    assert not trap.exists()


def test_an_alias_bomb_is_refused(written):
    levels = [f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 10)}]" for k in range(1, 30)]
    with pytest.raises(CheckpointError, match="unfold to more than"):
        read_yaml(written("\n".join(["l0: &l0 [boom]", *levels])))


def test_a_bomb_of_merged_mappings_is_refused(written):
    levels = [f"l{k}: &l{k} {{<<: [{', '.join([f'*l{k - 1}'] * 10)}]}}" for k in range(1, 30)]
    with pytest.raises(CheckpointError, match="unfold to more than"):
        read_yaml(written("\n".join(["l0: &l0 {a: boom}", *levels])))


def test_ordinary_aliases_are_read(written):
    assert read_yaml(written("a: &x {one: 1}\nb: *x")) == {"a": {"one": 1}, "b": {"one": 1}}


def test_a_value_that_contains_itself_is_refused(written):
    with pytest.raises(CheckpointError, match="contains itself"):
        read_yaml(written("a: &x [*x]"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping"),
        ("- 1", "expected a mapping"),
        ("a: [", "not safe YAML"),
        ("a: 1\n---\nb: 2", "not safe YAML"),
        ("{[a]: 1}", "not safe YAML"),
        ("a: " + "[" * 1500, "not safe YAML"),
        ("a: " + "9" * 5000, "not safe YAML"),
        ("a: 2024-13-45", "not safe YAML"),
        ("#" * (MAX_BYTES + 1), "longer than"),
    ],
)
def test_what_is_no_mapping_is_refused(written, text, message):
    with pytest.raises(CheckpointError, match=message):
        read_yaml(written(text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00a: 1")
    with pytest.raises(CheckpointError, match="not safe YAML"):
        read_yaml(tmp_path / "config.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.yaml: no such file"):
        read_yaml(tmp_path / "config.yaml")

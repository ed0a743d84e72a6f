"""Rows that are finished before the whole is."""

from pathlib import Path

import numpy as np
import pytest

from tribetune.errors import FeatureError
from tribetune.features.parts import Parts, rows_kept

ROWS = np.random.default_rng(0).standard_normal((10, 2, 3)).astype(np.float32)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "film.parts", "cpu")


def test_blocks_are_joined_in_half_precision_whatever_their_boundaries(parts: Parts, tmp_path: Path) -> None:
    for start, stop in ((0, 4), (4, 5), (5, 10)):
        assert parts.rows == start
        parts.save(start, ROWS[start:stop])
    whole = Parts(tmp_path / "other.parts", "cpu")
    whole.save(0, ROWS)
    assert parts.rows == whole.rows == 10
    assert parts.joined(10).dtype == np.float16
    np.testing.assert_array_equal(parts.joined(10), whole.joined(10))
    np.testing.assert_array_equal(parts.joined(10), ROWS.astype(np.float16))
    np.testing.assert_array_equal(parts.joined(10, exact=True), ROWS)


def test_one_value_that_half_precision_cannot_hold_keeps_all_in_float32(parts: Parts) -> None:
    parts.save(0, ROWS)
    parts.save(10, np.full((1, 2, 3), 1e5, np.float32))
    np.testing.assert_array_equal(parts.joined(11), [*ROWS, *np.full((1, 2, 3), 1e5, np.float32)])


def test_values_that_are_not_finite_are_refused_when_they_come(parts: Parts) -> None:
    with pytest.raises(FeatureError, match="2 values that are not finite"):
        parts.save(0, np.array([[[1, np.nan, np.inf]]], np.float32))
    assert parts.rows == 0


def test_only_rows_without_a_gap_and_of_the_same_maker_count(parts: Parts) -> None:
    parts.save(0, ROWS[:4])
    parts.save(6, ROWS[6:])
    Parts(parts.folder, "cuda").save(0, ROWS[:7])
    assert (parts.rows, Parts(parts.folder, "cuda").rows, Parts(parts.folder, "mps").rows) == (4, 7, 0)
    assert rows_kept(parts.folder) == 7
    with pytest.raises(FileNotFoundError, match=r"film\.parts"):
        parts.joined(10)  # never fewer rows than there should be
    parts.save(4, ROWS[4:6])
    assert parts.rows == 10


def test_a_damaged_part_is_named_and_ends_what_is_kept(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    for start in range(0, 10, 2):
        parts.save(start, ROWS[start : start + 2])
    third = sorted(parts.folder.glob("*.npy"))[2]
    third.write_bytes(third.read_bytes()[:-1])
    assert parts.rows == 4
    assert f"{third} is damaged" in caplog.text


def test_what_a_killed_writer_left_half_written_is_not_read_and_is_swept(parts: Parts) -> None:
    parts.save(0, ROWS[:4])
    (parts.folder / ".part-abc-00000004-00000010-cpu.npy").write_bytes(b"half")
    final = parts.folder.parent / ".part-abc-film.safetensors"
    final.write_bytes(b"half")
    neighbour = parts.folder.parent / ".part-abc-film2.safetensors"
    neighbour.write_bytes(b"another's")
    assert parts.rows == 4
    parts.sweep()
    assert list(parts.folder.parent.iterdir()) == [neighbour]

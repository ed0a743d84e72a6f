"""Arrays on disk."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from tribetune.arrays import hash_plain, map_arrays, read_sidecar, write_arrays

ARRAYS = {"values": np.arange(12, dtype=np.float32).reshape(4, 3), "mask": np.array([True, False, True, True])}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "run.safetensors"
    write_arrays(path, ARRAYS, {"subject": "01"})
    return path


def test_what_was_written_is_mapped_not_read(written: Path) -> None:
    found = map_arrays(written, verify=True)
    assert set(found) == set(ARRAYS)
    for name, array in found.items():
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, ARRAYS[name])
        np.testing.assert_array_equal(load_file(written)[name], ARRAYS[name])
    assert read_sidecar(written)["subject"] == "01"


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0),
    )
)
def test_every_type_and_shape_comes_back(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("arrays") / "one.safetensors"
    write_arrays(path, {"one": array}, {})
    found = map_arrays(path, verify=True)["one"]
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_a_shorter_file_is_noticed(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:-1])
    with pytest.raises(ValueError, match="bytes, its sidecar says"):
        map_arrays(written)


def test_one_changed_bit_is_noticed_when_verified(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[-1] ^= 1
    written.write_bytes(content)
    map_arrays(written)
    with pytest.raises(ValueError, match="has changed since it was written"):
        map_arrays(written, verify=True)


def test_another_kind_of_file_is_refused(written: Path) -> None:
    size = written.stat().st_size
    written.write_bytes(b"\xff" * size)
    with pytest.raises(ValueError, match="no safetensors file"):
        map_arrays(written)


def test_without_its_sidecar_a_file_is_nothing(written: Path) -> None:
    written.with_suffix(".json").write_text("[]")
    with pytest.raises(ValueError, match="no JSON object"):
        map_arrays(written)
    written.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError):
        map_arrays(written)


def test_the_hash_of_a_plain_value_ignores_the_order_of_keys() -> None:
    assert hash_plain({"a": 1, "b": [2, None]}) == hash_plain({"b": [2, None], "a": 1})
    assert hash_plain({"a": 1}) != hash_plain({"a": 2})

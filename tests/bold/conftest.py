"""Surface runs as fMRIPrep writes them, small in time and whole in space."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

N_VERTICES = 10242


@pytest.fixture(scope="session")
def brainspace_wheel() -> Path:
    """The wheel in which a real resting run on fsaverage5 lies; it is read, not installed."""
    wheel = next((Path(sys.prefix) / "wheels").glob("brainspace-*.whl"), None)
    if wheel is None:
        pytest.skip("no brainspace wheel; make setup fetches it")
    return wheel


@pytest.fixture
def bold() -> np.ndarray:
    """Six volumes of both hemispheres, (time, vertex), as scanners scale them."""
    rng = np.random.default_rng(0)
    return (1000 + 20 * rng.standard_normal((6, 2 * N_VERTICES))).astype(np.float32)


@pytest.fixture
def write_hemisphere() -> Callable[..., Path]:
    """Write one hemisphere, (time, vertex), as GIFTI in one of the two layouts."""

    def write(path: Path, values: np.ndarray, one_array: bool = False, **metadata: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nibabel.GiftiImage(meta=nibabel.gifti.GiftiMetaData(metadata))
        for data in [values.T] if one_array else values:
            image.add_gifti_data_array(
                nibabel.gifti.GiftiDataArray(np.ascontiguousarray(data), intent="NIFTI_INTENT_TIME_SERIES")
            )
        nibabel.save(image, path)
        return path

    return write


@pytest.fixture
def touch() -> Callable[..., None]:
    """Make files that only have a name, JSON sidecars also a content."""

    def make(folder: Path, *names: str, t_r: dict[str, float] | None = None) -> None:
        contents = dict.fromkeys(names, "") | {
            name: json.dumps({"RepetitionTime": seconds}) for name, seconds in (t_r or {}).items()
        }
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return make

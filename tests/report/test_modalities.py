import numpy as np
import pytest
from matplotlib.image import imread

from tribetune.errors import SpaceError
from tribetune.report.modalities import modality_map
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE

N = FSAVERAGE5.n_outputs


def test_each_modality_has_its_colour_where_it_contributes_and_what_is_undefined_is_grey(tmp_path):
    """Left hemisphere heard, right hemisphere seen, half of the right one undefined."""
    left = np.arange(N) < N_HEMISPHERE
    audio, video = np.where(left, 0.2, 0.0), np.where(left, 0.0, 0.2)
    video[-N_HEMISPHERE // 2 :] = np.nan
    modality_map({"audio": audio, "video": video}, tmp_path / "map.png", title="Unique contributions")
    picture = imread(tmp_path / "map.png")[..., :3]
    half = picture.shape[1] // 2

    def share(pixels, channel):
        others = [k for k in range(3) if k != channel]
        return (pixels[..., channel] > 0.4 + pixels[..., others].max(-1)).mean()

    assert share(picture[:, :half], 1) > 0.1
    assert share(picture[:, half:], 1) < 0.01
    assert share(picture[:, half:], 2) > 0.03
    assert share(picture[:, :half], 2) < 0.01


def test_a_map_of_another_space_is_refused(tmp_path):
    with pytest.raises(SpaceError, match="unique contribution of text"):
        modality_map({"text": np.zeros(100)}, tmp_path / "map.png", title="")
    assert not list(tmp_path.iterdir())

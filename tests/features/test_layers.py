"""Which hidden states become features."""

import pytest

from tribetune.features.layers import SETTINGS, layer_groups, wanted_states


@pytest.mark.parametrize(
    ("setting", "n_states", "modality", "groups"),
    [
        ("released", 29, "text", ([13, 15, 16, 18, 19], [21, 22, 24, 25, 27, 28])),
        ("released", 41, "video", ([19, 21, 23, 25, 27], [29, 32, 34, 36, 38, 40])),
        ("released", 25, "audio", (range(12, 18), range(18, 25))),  # sound is not subsampled
        ("defaults", 29, "text", (range(14, 21), range(21, 29))),
        ("defaults", 41, "video", (range(20, 30), range(30, 41))),
        ("defaults", 25, "audio", (range(12, 18), range(18, 25))),
        ("mini", 29, "text", ([18],)),
        ("mini", 25, "video", ([16],)),
        ("released", 5, "text", ([2], [3, 4])),
        ("all", 3, "video", ([0], [1], [2])),
    ],
)
def test_groups_of_states_are_those_of_the_reference(
    setting: str, n_states: int, modality: str, groups: tuple[list[int], ...]
) -> None:
    chosen = layer_groups(SETTINGS[setting], n_states, modality)
    assert chosen == tuple(tuple(group) for group in groups)
    assert wanted_states(chosen) == sorted(state for group in groups for state in group)

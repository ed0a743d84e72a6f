"""The demo, with shorter runs: the first thing that has to work."""

import pytest
from matplotlib.image import imread

from tribetune.share.bundle import read_facts
from tribetune.study.demo import demo


@pytest.mark.slow
def test_the_demo_simulates_adapts_scores_and_draws(tmp_path):
    result = demo(tmp_path, minutes=2.0)
    assert [row["method"] for row in result.rows] == ["zero-shot", "fir", "readout", "lora"]
    assert all(row["n_outputs"] == len(result.scores["fir"]) - 1636 for row in result.rows)  # the medial wall has none
    assert 0 < result.ideal < 0.5
    assert f"a mean r of {result.ideal:.3f}" in result.notes[-1]
    assert "readout" in result.verdict
    assert imread(result.picture).std() > 0.05
    for method in ("readout", "lora"):
        assert read_facts(result.folder / f"adapter-{method}")["method"] == method

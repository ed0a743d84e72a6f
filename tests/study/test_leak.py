import pytest

from tribetune.errors import LeakageError
from tribetune.study.adapt import adapt


def test_a_test_run_with_a_stimulus_that_is_trained_on_is_refused(study_folder, tmp_path):
    same = f"data.tables.words={study_folder}/words-1.tsv"
    with pytest.raises(LeakageError, match=r"run-4 is held out, but sub-01_run-1, which is trained on"):
        adapt(str(study_folder / "recipe.yaml"), [same], tmp_path / "run")
    assert not (tmp_path / "run").exists()

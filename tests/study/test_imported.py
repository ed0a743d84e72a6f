"""Adapting with features that someone else made."""

import shutil

import numpy as np
import pytest

from tribetune.errors import FeatureError
from tribetune.features.imports import import_features
from tribetune.progress import Silent
from tribetune.stimulus.files import stimuli_of_files
from tribetune.study.adapt import adapt
from tribetune.study.features import Request, export, extract


@pytest.mark.slow
def test_adapting_with_exported_and_imported_features_gives_the_same_scores(study_folder, tmp_path, monkeypatch):
    made, imported = tmp_path / "made", tmp_path / "imported"
    shutil.copytree(study_folder / "features", made)
    words = {f"words-{run}": study_folder / f"words-{run}.tsv" for run in range(1, 5)}
    for name, path in words.items():
        list(extract(stimuli_of_files([path]), Request(made, modalities=("text",))))
        export(made, tmp_path / f"{name}.npz", name)
        import_features([tmp_path / f"{name}.npz"], None, path, imported)
    recipe = str(study_folder / "recipe.yaml")
    ours = adapt(recipe, [f"features.store={made}"], tmp_path / "run-made", Silent())
    monkeypatch.setattr("tribetune.features.encoders.Encoder.load", None)  # from here on nothing can be made
    monkeypatch.setattr("tribetune.features.encoders.Encoder.folder", None)
    chosen = ["features.encoders=imported", f"features.store={imported}"]
    theirs = adapt(recipe, chosen, tmp_path / "run-imported", Silent())
    assert set(theirs.scores) == {"zero-shot", "fir", "readout"}
    for method, scores in ours.scores.items():
        np.testing.assert_array_equal(theirs.scores[method], scores)
    with pytest.raises(FeatureError, match="words alone: its text was not imported into this store") as told:
        adapt(recipe, ["features.encoders=imported", f"features.store={made}"], tmp_path / "run-none", Silent())
    assert "tribetune features import FILE --words WORDS" in told.value.hint

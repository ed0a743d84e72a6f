import json

import pytest

from tribetune.errors import CheckpointError
from tribetune.evaluate.duplicates import plain_words, word_sketch
from tribetune.model.checkpoint import TRAINING, shipped_checkpoints
from tribetune.model.conversion import convert
from tribetune.model.training_list import training_stimuli
from tribetune.simulate.language import tell


def test_the_shipped_checkpoint_knows_its_films_by_their_words():
    known = training_stimuli("tribe-toy", "apache-2.0")
    assert known is not None
    assert len(known) == 22  # of 24 films, two were kept for validation
    facts = json.loads((shipped_checkpoints()["tribe-toy"] / TRAINING).read_text())
    assert len(facts["history"]) == 14
    words = plain_words([word.text for word in tell(1871, 3, 480.0).words])
    assert known[2].words == frozenset(word_sketch(words))
    assert all(len(stimulus.files) == 1 for stimulus in known)


def test_weights_of_the_released_tribe_bring_its_list_along(tmp_path):
    names = [stimulus.name for stimulus in training_stimuli("tribe-toy", "cc-by-nc-4.0") or ()]
    assert len(names) == 22 + 8
    assert {"The Bourne Supremacy", "BoldMoments", "Hidden Figures"} <= set(names)


def test_a_checkpoint_without_a_list_has_none_and_a_converted_one_keeps_its_own(tmp_path):
    convert("tribe-toy", tmp_path / "copy")
    assert training_stimuli(tmp_path / "copy", "apache-2.0") == training_stimuli("tribe-toy", "apache-2.0")
    (tmp_path / "copy" / TRAINING).unlink()
    assert training_stimuli(tmp_path / "copy", "apache-2.0") is None


@pytest.mark.parametrize("text", ["{", '{"stimuli": [{}]}', '{"stimuli": [{"name": "a", "called": ["("]}]}'])
def test_a_damaged_list_is_refused(tmp_path, text):
    convert("tribe-toy", tmp_path / "copy")
    (tmp_path / "copy" / TRAINING).write_text(text)
    with pytest.raises(CheckpointError, match="list of stimuli cannot be read"):
        training_stimuli(tmp_path / "copy", "apache-2.0")

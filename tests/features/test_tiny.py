"""Small encoders of the real classes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tribetune.features.tiny import make_tiny_encoders
from tribetune.features.vocabulary import byte_alphabet
from tribetune.files import hash_file

# The shipped toy checkpoint was trained on what these weights make of a stimulus; who changes them must train it again.
WEIGHTS = {
    "text": "fdd19bceb7c540a62e653e5fed322218f10163b6e97cd0db930341d26a84c621",
    "audio": "a2bd7ca79520013639e792bdf5820fa80dc4a07af12bce267a9cbab99be2bf37",
    "video": "c83dbe3ee9cc54893eb8d141431011b21761f41819e63035fe976b493cd7f234",
}


@pytest.mark.parametrize(
    ("modality", "name"), [("text", "LlamaModel"), ("audio", "Wav2Vec2BertModel"), ("video", "VJEPA2Model")]
)
def test_a_tiny_encoder_is_a_small_model_of_the_real_class(tiny_folder: Path, modality: str, name: str) -> None:
    model, report = AutoModel.from_pretrained(tiny_folder / modality, output_loading_info=True)
    assert type(model).__name__ == name
    assert not any(report[fault] for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.hidden_size == 64
    assert sum(file.stat().st_size for file in (tiny_folder / modality).iterdir()) < 1.5e6


@pytest.mark.parametrize("modality", sorted(WEIGHTS))
def test_the_weights_have_the_same_bits_everywhere(tiny_folder: Path, modality: str) -> None:
    assert hash_file(tiny_folder / modality / "model.safetensors") == WEIGHTS[modality]


def test_another_seed_gives_other_weights_and_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = make_tiny_encoders(tmp_path / "first", seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert hash_file(first / "text/model.safetensors") != WEIGHTS["text"]


def test_several_writers_at_once_leave_one_whole_folder(tmp_path: Path, tiny_folder: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(make_tiny_encoders, [tmp_path / "tiny"] * 3))
    assert made == [tmp_path / "tiny"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    for modality in WEIGHTS:
        file = f"{modality}/model.safetensors"
        assert hash_file(tmp_path / "tiny" / file) == hash_file(tiny_folder / file)


def test_the_tokenizer_loses_nothing_and_knows_common_words(tiny_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder / "text")
    for text in ("The queen's “tarts”", "naïve 你好 🐈", " a\tb\n"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer(" queen")["input_ids"]) == 1
    assert len(tokenizer(" qzx")["input_ids"]) == 3  # its first letter begins a known word, with the blank
    assert len(set(byte_alphabet())) == 256

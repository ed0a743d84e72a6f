"""Words: agreement with the reference's extractor, on the tiny random Llama of the fixtures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.features.golden import TOLERANCE, WINDOWS, encoder, grouped, joined, read_golden
from tribetune.features.encoders import Options, encoders
from tribetune.features.grid import place_words
from tribetune.features.reference_text import encode_padded, reference_words, reference_words_of
from tribetune.features.text import encode_words
from tribetune.stimulus.event import Event
from tribetune.stimulus.words import read_words

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(fixtures_folder: Path) -> Path:
    return fixtures_folder / "features"


@pytest.fixture(scope="module")
def golden(folder: Path) -> dict[str, np.ndarray]:
    return read_golden(folder)


@pytest.fixture(scope="module")
def words(folder: Path) -> tuple[Event, ...]:
    return reference_words_of(read_words(folder / "words.tsv"))


def copied_encoder(folder: Path, to: Path, **tokenizer: object) -> Path:
    """The Llama with another tokenizer configuration, in a folder of encoders."""
    text = to / "text"
    text.mkdir()
    for file in (folder / "encoders/llama").iterdir():
        content = file.read_bytes()
        if file.name == "tokenizer_config.json":
            content = json.dumps({**json.loads(content), **tokenizer}).encode()
        (text / file.name).write_bytes(content)
    return to


def test_the_words_are_those_of_the_reference(folder: Path, words: tuple[Event, ...]) -> None:
    kept = json.loads((folder / "golden_tf5.json").read_text())["words"]
    assert [word.text for word in words] == kept["text"]
    np.testing.assert_allclose([word.onset_s for word in words], kept["start"])
    assert len(read_words(folder / "words.tsv")) > len(words)


@pytest.mark.parametrize(("context", "strides"), [(1024, (1, 128)), (16, (1,))])
def test_words_in_context(
    folder: Path, golden: dict, words: tuple[Event, ...], context: int, strides: tuple[int, ...]
) -> None:
    for stride in strides:
        chosen = encoder(folder, "text", context_words=context, stride_words=stride)
        vectors = joined(encode_words(words, chosen, CPU))
        np.testing.assert_allclose(vectors, golden[f"text/ctx{context}/all/words"], **TOLERANCE)


@pytest.mark.parametrize("context", [1024, 16])
@pytest.mark.parametrize("setting", ["released", "defaults", "mini"])
def test_words_on_the_grid_of_a_window(golden: dict, words: tuple[Event, ...], context: int, setting: str) -> None:
    states = golden[f"text/ctx{context}/all/words"]
    vectors = np.moveaxis(grouped(states.swapaxes(0, 1), setting, "text"), 0, 1)
    boxes = [(word.onset_s, word.duration_s) for word in words]
    for window, (start_s, duration_s) in WINDOWS.items():
        if f"text/ctx{context}/{setting}/{window}" not in golden:
            assert (context, setting) == (16, "mini")
            continue
        expected = golden[f"text/ctx{context}/{setting}/{window}"]
        placed = place_words(boxes, vectors, duration_s, start_s)
        np.testing.assert_allclose(placed.reshape(expected.shape), expected, **TOLERANCE)


@pytest.mark.parametrize("setting", ["defaults", "mini"])
def test_layer_groups_of_words(folder: Path, golden: dict, words: tuple[Event, ...], setting: str) -> None:
    expected = golden[f"text/ctx1024/{setting}/words"]
    vectors = joined(encode_words(words, encoder(folder, "text", setting), CPU))
    np.testing.assert_allclose(vectors.reshape(expected.shape), expected, **TOLERANCE)


def test_contexts_longer_than_the_tokenizer_allows(
    folder: Path, golden: dict, words: tuple[Event, ...], tmp_path: Path
) -> None:
    shortened = encoders(copied_encoder(folder, tmp_path, model_max_length=48), Options(setting="all"))["text"]
    vectors = joined(encode_words(words, shortened, CPU))
    np.testing.assert_allclose(vectors, golden["text/toktrunc48/all/words"], **TOLERANCE)


def test_padding_counted_as_words(folder: Path, golden: dict, words: tuple[Event, ...], tmp_path: Path) -> None:
    padded = copied_encoder(folder, tmp_path, pad_token="<|finetune_right_pad_id|>")
    expected, order = golden["text/padneos/all/words"], golden["text/padneos/order"].tolist()
    faulty = encoders(padded, Options(setting="all", reference=True))["text"]
    batches = reference_words(words, faulty, faulty.load(CPU), order)
    np.testing.assert_allclose(batches, expected[order], **TOLERANCE)
    np.testing.assert_allclose(joined(encode_padded(words, faulty, CPU, order=order)), expected, **TOLERANCE)
    right = joined(encode_words(words, encoders(padded, Options(setting="all"))["text"], CPU))
    np.testing.assert_allclose(right, golden["text/ctx1024/all/words"], **TOLERANCE)
    assert (np.abs(expected - right).max((1, 2)) > 1e-3).sum() == 142  # parity note 1


@pytest.mark.parametrize("context", [1024, 16])
def test_the_references_procedure(folder: Path, golden: dict, words: tuple[Event, ...], context: int) -> None:
    chosen = encoder(folder, "text", context_words=context, reference=True)
    expected = golden[f"text/ctx{context}/all/words"]
    np.testing.assert_allclose(reference_words(words, chosen, chosen.load(CPU)), expected, **TOLERANCE)
    np.testing.assert_allclose(joined(encode_words(words, chosen, CPU)), expected, **TOLERANCE)

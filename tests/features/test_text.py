"""Words to vectors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tribetune.features.encoders import Encoder, Options, encoders
from tribetune.features.text import Pass, Piece, cut_pieces, encode_words, plan_passes
from tribetune.stimulus.event import Event

CPU = torch.device("cpu")
SENTENCE = "The queen—angry—shouted. "


def spoken(sentence: str, *texts: str) -> list[Event]:
    """Words of a sentence, each at its first place after the word before it."""
    events, cursor = [], 0
    for text in texts:
        place = sentence.index(text, cursor)
        events.append(Event("word", 0.0, 0.1, text=text, sentence=sentence, sentence_char=place))
        cursor = place + len(text)
    return events


def story(n: int) -> list[Event]:
    vocabulary = [
        "the",
        "old",
        "king",
        "told",
        "about",
        "bread",
        "and",
        "unforgettable",
        "snow",
        "while",
        "Alice",
        "slept",
    ]
    rng = np.random.default_rng(0)
    return [Event("word", 0.4 * k, 0.3, text=str(word)) for k, word in enumerate(rng.choice(vocabulary, n))]


def encode(words: list[Event], encoder: Encoder) -> np.ndarray:
    return np.concatenate(list(encode_words(words, encoder, CPU)))


def test_the_pieces_of_a_sentence_join_to_the_sentence() -> None:
    words = [*spoken(SENTENCE, "queen", "angry", "shouted"), *spoken("Off with her! ", "Off", "her")]
    pieces = cut_pieces(words)
    assert pieces[0] == Piece("The queen", "—", "queen")
    assert pieces[2] == Piece("shouted", ". ", "shouted")
    assert "".join(piece.head + piece.tail for piece in pieces) == SENTENCE + "Off with her! "


def test_the_same_sentence_said_twice_is_read_twice() -> None:
    pieces = cut_pieces([*spoken("No! ", "No"), *spoken("No! ", "No")])
    assert [piece.head + piece.tail for piece in pieces] == ["No! ", "No! "]


def test_words_without_a_sentence_stand_between_blanks_and_none_is_lost() -> None:
    bare = [Event("word", 0.0, 0.1, text=text) for text in ("well", "then")]
    assert "".join(p.head + p.tail for p in cut_pieces(bare)) == "well then "
    mixed = [*spoken("Stop.", "Stop"), *bare, *spoken("Go.", "Go")]
    assert "".join(p.head + p.tail for p in cut_pieces(mixed)) == "Stop. well then Go."


@pytest.mark.parametrize(("n_words", "context", "stride"), [(1, 5, 2), (6, 5, 2), (7, 5, 2), (30, 5, 4), (30, 5, 1)])
def test_passes_serve_every_word_once_with_at_least_its_context(n_words: int, context: int, stride: int) -> None:
    passes = plan_passes(n_words, context, stride)
    assert [word for step in passes for word in range(step.first, step.stop)] == list(range(n_words))
    for step in passes:
        assert step.start == 0 or step.first - step.start == context
        assert step.stop - step.start <= context + max(1, stride)
    assert passes[0] == Pass(0, 0, min(n_words, context + 1))


def test_sharing_a_run_gives_what_each_words_own_context_gives(tiny_folder: Path) -> None:
    words = [*spoken(SENTENCE, "queen", "angry", "shouted"), *story(12), *spoken("Webb's eye. ", "Web", "eye")]
    encoder = encoders(tiny_folder, Options(setting="all"))["text"]
    vectors = encode(words, encoder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder / "text")
    model = AutoModel.from_pretrained(tiny_folder / "text").eval()
    text = ""
    for piece, vector in zip(cut_pieces(words), vectors, strict=True):
        context = text + piece.head
        text = context + piece.tail
        ids = tokenizer(context, add_special_tokens=False, return_tensors="pt")["input_ids"]
        prefix = context[: len(context) - len(piece.word)].rstrip()
        n_own = ids.shape[1] - len(tokenizer(prefix, add_special_tokens=False)["input_ids"])
        with torch.inference_mode():
            states = torch.stack(model(ids, output_hidden_states=True).hidden_states)[:, 0, -n_own:].mean(1)
        np.testing.assert_allclose(vector, states.numpy(), atol=2e-5)  # float32, values up to 5, another order of sums


def test_a_words_vector_does_not_depend_on_what_follows(tiny_folder: Path) -> None:
    words = story(20)
    encoder = encoders(tiny_folder)["text"]
    np.testing.assert_allclose(encode(words, encoder)[:9], encode(words[:9], encoder), atol=2e-5)


def test_past_the_context_a_stride_of_one_is_exact_and_a_longer_one_sees_more(tiny_folder: Path) -> None:
    words = story(14)
    exact = encode(words, encoders(tiny_folder, Options(context_words=6, stride_words=1))["text"])
    assert exact.shape == (14, 2, 64)
    for k in range(14):
        alone = encode(words[max(0, k - 6) : k + 1], encoders(tiny_folder)["text"])
        np.testing.assert_allclose(exact[k], alone[-1], atol=2e-5)
    shared = encode(words, encoders(tiny_folder, Options(context_words=6, stride_words=4))["text"])
    np.testing.assert_allclose(shared[:8], exact[:8], atol=2e-5)  # the first word of a block has its own context
    assert np.abs(shared[8] - exact[8]).max() > 1e-3


def test_an_encoder_that_looks_ahead_reads_every_words_own_context(tiny_folder: Path) -> None:
    from transformers import AutoConfig, BertModel

    folder = tiny_folder.parent / "bert" / "text"
    torch.manual_seed(0)
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_folder / "text"))
    config = AutoConfig.for_model(
        "bert", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=vocabulary
    )
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder / "text").save_pretrained(folder)
    words = story(6)
    encoder = encoders(folder.parent)["text"]
    np.testing.assert_allclose(encode(words, encoder)[:3], encode(words[:3], encoder), atol=1e-5)


def test_the_words_themselves_survive_to_the_features(tiny: dict[str, Encoder]) -> None:
    words = [replace(word, text=text) for word, text in zip(story(60), ["snow", "bread", "king"] * 20, strict=True)]
    words = [words[k] for k in np.random.default_rng(1).permutation(60)]
    vectors = encode(words, tiny["text"]).reshape(60, -1)
    same = np.equal.outer([w.text for w in words], [w.text for w in words])
    r = np.corrcoef(vectors)
    assert r[same].mean() > r[~same].mean() + 0.4

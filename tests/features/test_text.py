"""Words to vectors."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from tribetune.features.encoders import Encoder, Options, encoders
from tribetune.features.pieces import Context, Pass, Piece, cut_pieces, plan_passes, text_of
from tribetune.features.reference_text import encode_padded, reference_words, reference_words_of
from tribetune.features.text import BLOCK_WORDS, encode_words
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


def small_model(folder: Path, tokenizer: Path, kind: str, **config: object) -> Path:
    """A model of random weights with the tiny tokenizer, in a folder of encoders."""
    torch.manual_seed(0)
    vocabulary = AutoTokenizer.from_pretrained(tokenizer)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    chosen = AutoConfig.for_model(kind, vocab_size=len(vocabulary), **sizes, **config)
    AutoModel.from_config(chosen).save_pretrained(folder / "text")
    vocabulary.save_pretrained(folder / "text")
    return folder


def plainly(words: list[Event], encoder: Encoder, chosen: range | None = None) -> np.ndarray:
    """Every word's own context, read by itself."""
    return reference_words(words, encoder, encoder.load(CPU), chosen)


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


def test_an_unknown_word_amid_a_sentence_sees_nothing_of_what_follows() -> None:
    the, cat, sat = spoken("The cat sat.", "The", "cat", "sat")
    pieces = cut_pieces([the, Event("word", 0.0, 0.1, text="uh"), cat, sat])
    assert [piece.head + piece.tail for piece in pieces] == ["The ", "uh ", "cat ", "sat."]


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


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("qwen3", {"num_key_value_heads": 1, "head_dim": 8}),
        ("mistral", {"num_key_value_heads": 1, "sliding_window": 6}),
        ("gpt_neox", {}),
    ],
)
def test_any_causal_encoder_reads_once_what_it_would_read_word_by_word(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, config: dict
) -> None:
    folder = small_model(tmp_path, tiny_folder / "text", kind, **config)
    words = [*story(12), *spoken("to them all. ", "the", "all"), *story(8)]
    for context, stride in ((1024, 128), (5, 1)):
        options = Options(setting="all", context_words=context, stride_words=stride)
        encoder = encoders(folder, options)["text"]
        np.testing.assert_allclose(encode(words, encoder), plainly(words, encoder), atol=2e-5)
    assert not caplog.records


@pytest.mark.parametrize(
    ("kind", "config"),
    [("bert", {}), ("gemma3_text", {"num_key_value_heads": 1, "head_dim": 8, "use_bidirectional_attention": True})],
)
def test_an_encoder_that_looks_ahead_reads_every_words_own_context(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, config: dict
) -> None:
    encoder = encoders(small_model(tmp_path, tiny_folder / "text", kind, **config), Options(setting="all"))["text"]
    words = story(6)
    np.testing.assert_allclose(encode(words, encoder)[:3], encode(words[:3], encoder), atol=1e-5)
    np.testing.assert_allclose(encode(words, encoder), plainly(words, encoder), atol=1e-5)
    assert "every word's context is read anew" in caplog.text


SENTENCES = {
    "Chinese": ("她打开盒子，里面有一块很小的蛋糕。", "她 打开 盒子 里面 有 一块 很小 的 蛋糕"),
    "Japanese": ("アリスは小さな箱を見つけました。", "アリス は 小さな 箱 を 見つけました"),
    "Arabic": ("وجدت أليس صندوقًا صغيرًا، ففتحته؟ ", "وجدت أليس صندوقًا صغيرًا ففتحته"),
    "Hindi": ("ऐलिस ने एक डिब्बा देखा। ", "ऐलिस ने एक डिब्बा देखा"),
    "emoji and a word in a word": ("so 😀funny, them👩‍👩‍👧 eye! ", "so 😀funny the eye"),
    "lines": ("one  two\n\nthree   four \t five\n", "one two three four five"),
}


@pytest.mark.parametrize("script", SENTENCES)
def test_words_of_every_script_and_layout(tiny_folder: Path, script: str) -> None:
    sentence, texts = SENTENCES[script]
    words = [*story(3), *spoken(sentence, *texts.split()), *spoken(sentence, *texts.split()), *story(3)]
    encoder = encoders(tiny_folder)["text"]
    np.testing.assert_allclose(encode(words, encoder), plainly(words, encoder), atol=2e-5)


def test_a_word_inside_a_token_at_the_end_of_a_block_is_read_aside(tiny_folder: Path) -> None:
    encoder = encoders(tiny_folder)["text"]
    words = [*story(BLOCK_WORDS - 2), *spoken("to them all ", "to", "the", "m", "all")]  # " them" is one token
    assert [words[BLOCK_WORDS - 1].text, words[BLOCK_WORDS].text] == ["the", "m"]
    found = plainly(words, encoder, range(BLOCK_WORDS - 2, BLOCK_WORDS + 2))
    np.testing.assert_allclose(encode(words, encoder)[BLOCK_WORDS - 2 :], found, atol=2e-5)


def test_tokens_of_a_word_that_were_read_in_the_block_before_are_read_again(tmp_path: Path) -> None:
    vocabulary = dict.fromkeys(["<e>", *"abcxz ", "cz", "bc", "abc"])
    model = BPE({token: k for k, token in enumerate(vocabulary)}, [("c", "z"), ("b", "c"), ("a", "bc")])
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), eos_token="<e>").save_pretrained(tmp_path / "tokenizer")
    encoder = encoders(small_model(tmp_path, tmp_path / "tokenizer", "llama"), Options(setting="all"))["text"]
    filler = [Event("word", 0.0, 0.1, text="x")] * (BLOCK_WORDS - 1)
    # before "z" stands "abc", one token; with it, the text is a, b, cz: two tokens are its own, and b was read before
    words = [*filler, *spoken("abcz", "ab", "z")]
    found = plainly(words, encoder, range(BLOCK_WORDS, BLOCK_WORDS + 1))
    np.testing.assert_allclose(encode(words, encoder)[BLOCK_WORDS:], found, atol=2e-5)


def test_words_resumed_at_any_block_are_the_same_to_the_last_bit(tiny_folder: Path) -> None:
    options = Options(setting="all", context_words=2 * BLOCK_WORDS + 9, stride_words=20)
    encoder = encoders(tiny_folder, options)["text"]
    words = [*story(BLOCK_WORDS - 2), *spoken("to them all ", "the", "m", "all"), *story(BLOCK_WORDS + 60)]
    blocks = list(encode_words(words, encoder, CPU))
    lengths = [len(block) for block in blocks]
    assert lengths == [BLOCK_WORDS, BLOCK_WORDS, 10, 20, 20, len(words) - 2 * BLOCK_WORDS - 50]
    for known in range(1, len(blocks) + 1):
        resumed = list(encode_words(words, encoder, CPU, start=sum(lengths[:known])))
        assert [len(block) for block in resumed] == lengths[known:]
        for block, again in zip(blocks[known:], resumed, strict=True):
            np.testing.assert_array_equal(block, again)


def test_blocks_are_exact_as_far_as_the_first_context_reaches(tiny_folder: Path) -> None:
    words, context = story(BLOCK_WORDS + 60), BLOCK_WORDS + 10
    exact = encoders(tiny_folder, Options(setting="all", context_words=context, stride_words=1))["text"]
    blockwise = encoders(tiny_folder, Options(setting="all", context_words=context, stride_words=32))["text"]
    one, other = encode(words, exact), encode(words, blockwise)
    np.testing.assert_allclose(one[: context + 2], other[: context + 2], atol=2e-5)  # and the first of the next block
    assert np.abs(one - other)[context + 2 :].max() > 1e-3


def test_contexts_longer_than_the_tokenizer_allows_are_cut_on_the_left(tiny_folder: Path, tmp_path: Path) -> None:
    for file in (tiny_folder / "text").iterdir():
        (tmp_path / "text").mkdir(exist_ok=True)
        content = file.read_bytes().replace(b'"model_max_length": 131072', b'"model_max_length": 9')
        (tmp_path / "text" / file.name).write_bytes(content)
    encoder = encoders(tmp_path, Options(setting="all"))["text"]
    words = story(12)
    np.testing.assert_allclose(encode(words, encoder), plainly(words, encoder), atol=2e-5)
    assert np.abs(encode(words, encoder) - encode(words, encoders(tiny_folder, Options("all"))["text"])).max() > 1e-2


def test_words_as_the_reference_takes_them() -> None:
    first, second = spoken("Oh dear! ", "Oh", "dear")
    unknown = Event("word", 0.0, 0.5, text="hm")
    assert reference_words_of([first, unknown, second]) == (first, second)
    longer = replace(second, duration_s=0.4)
    assert reference_words_of([first, longer]) == (longer, first)  # one onset: the longer comes first


def test_padding_is_counted_as_words_only_where_the_reference_does(tiny_folder: Path, tmp_path: Path) -> None:
    words = story(10)
    clean = encoders(tiny_folder, Options(setting="all", reference=True))["text"]
    usual = encoders(tiny_folder, Options(setting="all"))["text"]
    np.testing.assert_allclose(encode(words, clean), encode(words, usual), atol=2e-5)
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder / "text")
    tokenizer.pad_token = "<|begin_of_text|>"
    shutil.copytree(tiny_folder / "text", tmp_path / "text")
    tokenizer.save_pretrained(tmp_path / "text")
    faulty = encoders(tmp_path, Options(setting="all", reference=True))["text"]
    padded = encode(words, faulty)
    longest_first = list(range(9, -1, -1))
    alone = np.concatenate(list(encode_padded(words, faulty, CPU, order=longest_first)))
    np.testing.assert_allclose(alone[[9, 5, 1]], encode(words, usual)[[9, 5, 1]], atol=2e-5)  # longest of their batch
    differs = np.abs(alone - encode(words, usual)).max((1, 2)) > 1e-3
    assert np.flatnonzero(~differs).tolist() == [1, 5, 9]
    np.testing.assert_array_equal(encode(words, faulty), padded)  # the order is drawn from a fixed seed
    np.testing.assert_array_equal(np.concatenate(list(encode_words(words, faulty, CPU, start=4))), padded[4:])
    together = reference_words(words, faulty, faulty.load(CPU), longest_first)[::-1]
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_what_a_pass_reads_ends_with_its_last_word() -> None:
    pieces = cut_pieces([*spoken(SENTENCE, "queen", "angry", "shouted"), *story(2)])
    text, contexts = text_of(pieces, Pass(1, 2, 4))
    assert text == f"angry—shouted. {pieces[3].word}"
    assert contexts == [Context(len("angry—shouted"), len("angry—")), Context(len(text), len("angry—shouted."))]


def test_the_words_themselves_survive_to_the_features(tiny: dict[str, Encoder]) -> None:
    words = [replace(word, text=text) for word, text in zip(story(60), ["snow", "bread", "king"] * 20, strict=True)]
    words = [words[k] for k in np.random.default_rng(1).permutation(60)]
    vectors = encode(words, tiny["text"]).reshape(60, -1)
    same = np.equal.outer([w.text for w in words], [w.text for w in words])
    r = np.corrcoef(vectors)
    assert r[same].mean() > r[~same].mean() + 0.4

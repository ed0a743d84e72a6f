"""Tokens of many beginnings of one text: exactly those of each beginning by itself."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tribetune.features.tiny import make_tiny_encoders
from tribetune.features.tokens import Tokenise, tokenise_beginnings, tokeniser

SCRIPTS = {
    "English": "Soon her eye fell on a little glass box; she opened it, and didn't find “EAT ME” 12 times.",
    "Chinese": "爱丽丝打开盒子，里面有一块很小的蛋糕。她想：“吃了它会怎么样？”于是她吃了",
    "Japanese": "アリスは小さな箱を見つけました。中にはケーキがあった！",
    "Arabic": "وجدت أليس صندوقًا صغيرًا، ففتحته؟ نعم۔",
    "Hindi": "ऐलिस ने एक छोटा डिब्बा देखा। उसने उसे खोला।",
    "Thai": "อลิซเปิดกล่องเล็กๆแล้วพบเค้ก",
    "Greek": "Η Αλίκη άνοιξε το κουτί· μέσα είχε ένα κέικ.",
    "emoji": "so 😀😀 funny👩‍👩‍👧 🇫🇷!",
    "blanks": "one  two   three\n\nfour \t five\u00a0six \r\n seven ",
    "nothing to cut at": "Donaudampfschifffahrtsgesellschaft" * 3,
}
MIXED = st.lists(
    st.sampled_from([*"aé字 \n\t.,'’。，😀1", " the", " Webb", "'s", "  ", " 12", *SCRIPTS.values()]), max_size=12
)


@pytest.fixture(scope="session")
def tiny_tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokenise:
    folder = make_tiny_encoders(tmp_path_factory.mktemp("encoders") / "tiny")
    return tokeniser(AutoTokenizer.from_pretrained(folder / "text"))


@pytest.fixture(scope="session")
def llama_tokens(fixtures_folder: Path) -> Tokenise:
    """Llama 3's way to cut a text, with few merges."""
    return tokeniser(AutoTokenizer.from_pretrained(fixtures_folder / "features/encoders/llama"))


def check(tokenise: Tokenise, text: str, stops: Sequence[int]) -> None:
    ids, known = tokenise_beginnings(tokenise, text, stops)
    assert ids == (tokenise([text])[0] if text else [])
    assert set(stops) <= set(known)
    for stop in stops:
        beginning = known[stop]
        own = tokenise([text[:stop]])[0] if stop else []
        assert [*ids[: beginning.n_shared], *beginning.rest] == own
        assert len(beginning) == len(own)
        if beginning.rest:
            assert beginning.rest[:1] != tuple(ids[beginning.n_shared :][:1])


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_beginning_in_every_script(tiny_tokens: Tokenise, llama_tokens: Tokenise, script: str) -> None:
    text = f"{SCRIPTS[script]} {SCRIPTS['English']} {SCRIPTS[script]}"
    for tokenise in (tiny_tokens, llama_tokens):
        check(tokenise, text, range(len(text) + 1))


@given(MIXED, st.data())
def test_any_beginning_of_any_text(tiny_tokens: Tokenise, llama_tokens: Tokenise, parts: list[str], data) -> None:
    text = "".join(parts)
    stops = data.draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=6))
    for tokenise in (tiny_tokens, llama_tokens):
        check(tokenise, text, stops)


@pytest.mark.parametrize("script", ["English", "Chinese", "Hindi"])
def test_the_work_grows_with_the_text_and_not_with_its_square(llama_tokens: Tokenise, script: str) -> None:
    text = " ".join([SCRIPTS[script]] * 40)
    read = 0

    def counting(texts: Sequence[str]) -> list[list[int]]:
        nonlocal read
        read += sum(map(len, texts))
        return llama_tokens(texts)

    stops = range(0, len(text), 5)
    check(llama_tokens, text, stops)
    tokenise_beginnings(counting, text, stops)
    assert read < 20 * len(text) < len(text) * len(stops) / 5


def test_where_cutting_changes_the_tokens_every_beginning_is_read_from_its_start() -> None:
    def in_fives(texts: Sequence[str]) -> list[list[int]]:
        return [[sum(map(ord, text[k : k + 5])) for k in range(0, len(text), 5)] for text in texts]

    def with_a_first_letter(texts: Sequence[str]) -> list[list[int]]:
        return [[ord(letter) + 1000 * (k == 0) for k, letter in enumerate(text)] for text in texts]

    for tokenise in (in_fives, with_a_first_letter):
        check(tokenise, SCRIPTS["English"], range(len(SCRIPTS["English"]) + 1))

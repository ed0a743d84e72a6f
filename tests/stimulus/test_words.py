"""Words with their times."""

from pathlib import Path

import numpy as np
import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.words import read_words

HEADER = "onset\tduration\tword\tsentence\tsentence_char\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_keeps_words_sentences_and_their_trailing_blank(tmp_path: Path) -> None:
    path = write(tmp_path / "words.tsv", HEADER + '0.5\t0.2\tSo\t"So it is. \t1\n0.7\t0.1\tit\t"So it is. \t4\n')
    words = read_words(path)
    assert [(word.onset_s, word.duration_s, word.text) for word in words] == [(0.5, 0.2, "So"), (0.7, 0.1, "it")]
    assert [(word.sentence, word.sentence_char) for word in words] == [('"So it is. ', 1), ('"So it is. ', 4)]


def test_all_layouts_give_the_same_words(tmp_path: Path) -> None:
    tsv = write(tmp_path / "a.tsv", "onset\tduration\tword\n1\t0.5\tdoch\n2\t0.25\tnaïv\n")
    csv = write(tmp_path / "b.csv", "\ufeffWord,Start,End\ndoch,1,1.5\nnaïv,2,2.25\n")
    npz = tmp_path / "c.npz"
    np.savez(npz, words=np.array(["doch", "naïv"]), onset=np.array([1.0, 2.0]), offset=np.array([1.5, 2.25]))
    assert read_words(tsv) == read_words(csv) == read_words(npz)


def test_a_word_without_a_duration_or_sentence_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "words.tsv", HEADER + "1\tn/a\tone\t\t\n1\t\ttwo\tnot in here\t\n")
    assert [(word.duration_s, word.sentence, word.sentence_char) for word in read_words(path)] == [(0, "", -1)] * 2


def test_words_are_found_in_their_sentence_when_the_table_does_not_say_where(tmp_path: Path) -> None:
    sentence = "the cat and the dog. "
    rows = "".join(f"{k}\t{word}\t{sentence}\n" for k, word in enumerate(sentence.strip(". ").split()))
    words = read_words(write(tmp_path / "words.tsv", "onset\tword\tsentence\n" + rows))
    assert [word.sentence_char for word in words] == [0, 4, 8, 12, 16]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no words"),
        (HEADER, "no words"),
        ("time\tword\n1\ta\n", "column onset not found, got time, word"),
        (HEADER + "1\t0\ta\n3\t0\tb\n2\t0\tc\n", "row 3: onset 2 s comes after 3 s"),
        (HEADER + "-1\t0\ta\n", "row 1: onset is -1"),
        (HEADER + "1\t0\ta\nnan\t0\tb\n", "row 2: onset is nan"),
        (HEADER + "1\tlong\ta\n", "row 1: duration is long"),
        (HEADER + "1\t0\t \n", "row 1: the word is empty"),
    ],
)
def test_a_faulty_table_is_refused_with_its_row(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StimulusError, match=says) as caught:
        read_words(write(tmp_path / "words.tsv", text))
    assert "words.tsv" in str(caught.value)
    assert caught.value.hint


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match="no such file"):
        read_words(tmp_path / "words.tsv")
    with pytest.raises(StimulusError, match=r"expected one of \.tsv, \.csv, \.npz"):
        read_words(write(tmp_path / "words.docx", "x"))
    (tmp_path / "latin.tsv").write_bytes(b"onset\tword\n1\tna\xefve\n")
    with pytest.raises(StimulusError, match="is not UTF-8 text"):
        read_words(tmp_path / "latin.tsv")
    with pytest.raises(StimulusError, match="NPZ"):
        read_words(write(tmp_path / "words.npz", "not an archive"))
    np.savez(tmp_path / "other.npz", words=np.array(["a", "b"]), onset=np.array([1.0]))
    with pytest.raises(StimulusError, match="of one length"):
        read_words(tmp_path / "other.npz")


def test_an_npz_that_would_run_code_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "words.npz", words=np.array([object()]), onset=np.array([1.0]))
    with pytest.raises(StimulusError, match="plain arrays"):
        read_words(tmp_path / "words.npz")


def test_the_words_of_alice_are_read(data_folder: Path) -> None:
    words = read_words(data_folder / "alice/alice_brennan2016_rois.npz")
    assert len(words) == 2127
    assert words[0].text == "Alice"

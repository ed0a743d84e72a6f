"""Tables of words: written and read back, from spreadsheets, and per volume."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.word_tables import write_words
from tribetune.stimulus.words import read_words

TR_HEADER = "text_per_tr\twords_per_tr\tonsets_per_tr\tdurations_per_tr\n"

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\t\r\n\0\ufeff")
TEXTS = st.text(st.one_of(st.sampled_from("\"'’ a.字é"), CHARACTERS), min_size=1, max_size=12)
SECONDS = st.floats(0, 1e6, allow_nan=False)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@st.composite
def words_in_sentences(draw: st.DrawFn) -> list[Event]:
    words = []
    for onset_s in sorted(draw(st.lists(SECONDS, min_size=1, max_size=6))):
        text = draw(TEXTS.map(str.strip).filter(bool))
        before, after = draw(st.one_of(st.just(("", None)), st.tuples(st.one_of(st.just(""), TEXTS), TEXTS)))
        sentence = "" if after is None else before + text + after
        place = len(before) if sentence else -1
        words.append(Event("word", onset_s, draw(SECONDS), None, text, sentence, place, draw(st.booleans())))
    return words


@given(words_in_sentences())
def test_what_is_written_is_read_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, words: list[Event]) -> None:
    path = tmp_path_factory.mktemp("words") / "words.tsv"
    write_words(words, path)
    assert read_words(path) == tuple(words)


def test_a_sentence_that_looks_quoted_is_kept_as_it_is(tmp_path: Path) -> None:
    word = Event("word", 1.0, 0.5, None, "b", '"a ""b"""', 5)
    write_words([word], tmp_path / "words.tsv")
    assert read_words(tmp_path / "words.tsv") == (word,)


def test_a_line_break_in_a_sentence_becomes_a_blank(tmp_path: Path) -> None:
    word = Event("word", 1.0, 0.5, None, "b", "a\tb\r\nc", 2)
    write_words([word], tmp_path / "words.tsv")
    assert read_words(tmp_path / "words.tsv")[0].sentence == "a b  c"


def test_no_words_make_no_file(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match="0 words"):
        write_words([Event("audio", 0.0, 1.0, tmp_path / "a.wav")], tmp_path / "words.tsv")
    with pytest.raises(StimulusError, match=r"ends in \.tsv"):
        write_words([Event("word", 0.0, 1.0, text="a")], tmp_path / "words.csv")
    assert not list(tmp_path.iterdir())


def test_a_table_saved_by_a_spreadsheet_is_the_table_it_opened(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.tsv", 'onset\tduration\tword\tsentence\tsentence_char\n1\t1\tno\t"no" he said\t1\n')
    saved = write(
        tmp_path / "b.tsv", 'onset\tduration\tword\tsentence\tsentence_char\r\n1\t1\tno\t"""no"" he said"\t1\r\n'
    )
    semicolons = write(tmp_path / "c.csv", 'onset;duration;word;sentence;sentence_char\n1;1;no;"""no"" he said";1\n')
    assert read_words(plain) == read_words(saved) == read_words(semicolons)


def test_words_are_found_whatever_their_case_and_quotes(tmp_path: Path) -> None:
    sentence = "“Don’t,” she said — ΣΟΦΟΣ."
    rows = "".join(f"{k}\t{word}\t{sentence}\n" for k, word in enumerate(["don't", "She", "SAID", "uh", "σοφος"]))
    words = read_words(write(tmp_path / "words.tsv", "onset\tword\tsentence\n" + rows))
    assert [word.sentence_char for word in words] == [1, 9, 13, -1, 20]
    assert [word.text for word in words] == ["don't", "She", "SAID", "uh", "σοφος"]
    assert words[3].sentence == ""


def test_a_word_that_was_not_said_twice_is_no_reason_to_lose_the_others(tmp_path: Path) -> None:
    sentence = "We saw the cat near the dog"
    said = ["we", "the", "saw", "the", "cat", "near", "the", "dog"]
    rows = "".join(f"{k}\t{word}\t{sentence}\n" for k, word in enumerate(said))
    words = read_words(write(tmp_path / "words.tsv", "onset\tword\tsentence\n" + rows))
    assert [word.sentence_char for word in words] == [0, -1, 3, 7, 11, 15, 20, 24]


def test_a_sentence_said_again_is_found_again(tmp_path: Path) -> None:
    rows = "".join(f"{k}\t{word}\tOh no. \n" for k, word in enumerate(["oh", "no", "oh", "no"]))
    words = read_words(write(tmp_path / "words.tsv", "onset\tword\tsentence\n" + rows))
    assert [word.sentence_char for word in words] == [0, 3, 0, 3]


def test_rows_per_volume_give_their_words_in_the_sentences_of_all_rows(tmp_path: Path) -> None:
    rows = [
        'Now, it\'s\t"[\'Now\', ""it\'s""]"\t[0.5, 0.9]\t[0.2, 0.3]',
        "\t[]\t[]\t[]",
        "\t\t\t",
        "late. Go!\t['late', 'Go', 'uh']\t[3.1, 3.6, 3.7]\t[0.25, nan, 0.1]",
    ]
    words = read_words(write(tmp_path / "friends.tsv", TR_HEADER + "\n".join(rows) + "\n"))
    assert [(word.text, word.onset_s, word.duration_s) for word in words] == [
        ("Now", 0.5, 0.2),
        ("it's", 0.9, 0.3),
        ("late", 3.1, 0.25),
        ("Go", 3.6, 0.0),
        ("uh", 3.7, 0.1),
    ]
    assert [(word.sentence, word.sentence_char) for word in words] == [
        *[("Now, it's late. ", place) for place in (0, 5, 10)],
        ("Go!", 0),
        ("", -1),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a\t__import__('os').getcwd()\t[1]\t[1]", "row 1: words_per_tr is no list"),
        ("a\t{'a': 1}\t[1]\t[1]", "no list of words"),
        ("a\t" + "[" * 5000 + "\t[1]\t[1]", "no list of words"),
        ("a\t['a', 'b']\t[1]\t[1]", "2 words, 1 onsets and 1 durations"),
        ("a\t['a']\t[soon]\t[1]", "onsets_per_tr is no list of numbers"),
        ("a\t['a']\t[nan]\t[1]", r"word 1 \(a\): onset is nan"),
        ("a\t['a']\t[-1]\t[1]", "onset is -1"),
        ("\t\t\t", "found no words"),
    ],
)
def test_faulty_rows_per_volume_are_refused(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(StimulusError, match=says):
        read_words(write(tmp_path / "words.tsv", TR_HEADER + row + "\n"))


def test_words_out_of_order_across_volumes_are_put_in_order(tmp_path: Path) -> None:
    rows = "b\t['b']\t[2]\t[1]\na\t['a']\t[1]\t[1]\n"
    assert [word.text for word in read_words(write(tmp_path / "words.tsv", TR_HEADER + rows))] == ["a", "b"]


def test_estimated_words_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "words.tsv", "onset\tword\testimated\n1\ta\tTRUE\n2\tb\tFALSE\n")
    with caplog.at_level(logging.WARNING):
        assert [word.estimated for word in read_words(path)] == [True, False]
    assert "times of 1 of 2 words are estimated" in caplog.text


def test_odd_numbers_in_a_table_are_no_fault_of_ours(tmp_path: Path) -> None:
    path = write(tmp_path / "words.tsv", "onset\tword\tsentence\tsentence_char\n1\ta\ta\t²\n2\tb\tb\t--3\n")
    assert [word.sentence_char for word in read_words(path)] == [0, 0]


def test_a_text_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    text = "onset\tword\n1\tnaïve\n"
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "words.tsv").write_text(text, encoding=encoding)
        assert read_words(tmp_path / "words.tsv")[0].text == "naïve"
    for encoding in ("latin-1", "utf-16-le"):
        (tmp_path / "words.tsv").write_text(text, encoding=encoding)
        with pytest.raises(StimulusError, match="is not UTF-8 text") as caught:
            read_words(tmp_path / "words.tsv")
        assert "iconv" in caught.value.hint
    (tmp_path / "words.tsv").write_text("onset\tword\n1\ta\n", encoding="utf-16-le")  # also UTF-8, of other letters
    with pytest.raises(StimulusError, match="a zero byte at 1"):
        read_words(tmp_path / "words.tsv")


def test_a_place_that_is_another_words_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    rows = "0\t0.2\tcat\tThe cat and the dog.\t16\n1\t0.2\tdog\tThe cat and the dog.\t4\n"
    path.write_text("onset\tduration\tword\tsentence\tsentence_char\n" + rows, encoding="utf-8")
    assert [word.sentence_char for word in read_words(path)] == [4, 16]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("task-film_word-annotation.1D", "so 1.5 1.75\nit 2 2.5\nends 3 3.5\n"),
        ("align.csv", "so,so,1.5,1.75\nit,<unk>,2.0,2.5\nends,ends,3.0,3.5\n"),
        ("words.tsv", "so\t1.5\t1.75\nit\t2.0\t2.5\nends\t3.0\t3.5\n"),
    ],
)
def test_lines_of_a_word_its_onset_and_its_offset_need_no_header(tmp_path: Path, name: str, text: str) -> None:
    words = read_words(write(tmp_path / name, text))
    assert [(word.text, word.onset_s, word.duration_s) for word in words] == [
        ("so", 1.5, 0.25),
        ("it", 2.0, 0.5),
        ("ends", 3.0, 0.5),
    ]


def test_words_that_an_aligner_did_not_find_share_the_time_between_their_neighbours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "align.csv", "um,,,\nso,so,1.5,2.0\nsuddenly,,,\nends,ends,3.0,3.5\n")
    with caplog.at_level(logging.WARNING):
        words = read_words(path)
    assert [(word.text, word.onset_s, word.duration_s, word.estimated) for word in words] == [
        ("um", 0.0, 1.5, True),
        ("so", 1.5, 0.5, False),
        ("suddenly", 2.0, 1.0, True),
        ("ends", 3.0, 0.5, False),
    ]
    assert "the times of 2 of 4 words are estimated" in caplog.text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("so 1.5 2.0\nit 2.5 soon\n", "line 2: got 'it 2.5 soon', expected a word, its onset and its offset"),
        ("so 1.5 2.0\n2.5 3.0\n", "line 2: got '2.5 3.0'"),
        ("so 1.5 2.0\nit 2.5 0.5\n", "line 2: 'it' begins at 2.5 s and ends at 0.5 s"),
        ("so -1.5 2.0\n", "onset is -1.5"),
    ],
)
def test_a_faulty_list_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StimulusError, match=says) as caught:
        read_words(write(tmp_path / "words.1D", text))
    assert caught.value.hint


def test_empty_columns_after_a_header_are_no_times(tmp_path: Path) -> None:
    path = write(tmp_path / "words.csv", "onset,duration,word,,\n1.5,0.25,so,,\n")
    assert [(word.text, word.onset_s) for word in read_words(path)] == [("so", 1.5)]

"""Words from subtitles."""

import logging
from pathlib import Path

import pytest

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.words import read_words


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def srt(*cues: tuple[str, str, str]) -> str:
    return "".join(f"{k}\n{start} --> {stop}\n{text}\n\n" for k, (start, stop, text) in enumerate(cues, 1))


def texts(words: tuple[Event, ...]) -> list[str]:
    return [word.text for word in words]


def stands(word: Event) -> bool:
    """Whether a word is where it says in its sentence."""
    return word.sentence[word.sentence_char :].startswith(word.text)


def test_the_words_of_nasa_fill_their_cues(data_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        words = read_words(data_folder / "media/nasa0.srt")
    assert "times of 37 of 37 words are estimated (spread over each cue in proportion to letters)" in caplog.text
    assert texts(words)[:4] == ["This", "is", "the", "optical"]  # not the speaker's label
    first = [word for word in words if word.onset_s < 4.26 - 1e-9]
    assert first[0].onset_s == 0.21
    assert first[-1].onset_s + first[-1].duration_s == pytest.approx(4.26)
    assert all(word.duration_s / len(word.text) == pytest.approx(first[0].duration_s / 4) for word in first)
    assert all(map(stands, words))
    assert {word.sentence[:9] + "|" + word.sentence[-10:] for word in words} == {
        "This is t|Maryland. ",
        "This half|ccessfully",
    }


def test_what_is_not_said_is_left_out(tmp_path: Path) -> None:
    cues = [
        ("00:00:01,000", "00:00:02,000", "<i>- [door creaks] Yes?</i>\n- JOHN: {\\an8}No &amp; <b>never</b>!"),
        ("00:00:03,000", "00:00:04,000", "♪ la la ♪"),
        ("00:00:05,000", "00:00:06,000", "[MUSIC]"),
        ("00:00:07,000", "00:00:08,000", "(SIGHS) Remember: I was\n(so I think) -5 degrees, born in\n1984"),
        ("00:00:09,000", "00:00:10,000", ">> MAN 1: Well—yes...no"),
    ]
    words = read_words(write(tmp_path / "a.srt", srt(*cues)))
    assert " ".join(texts(words)) == ("Yes No never la la Remember I was so I think 5 degrees born in 1984 Well yes no")
    assert list(dict.fromkeys(word.sentence for word in words)) == [
        "Yes? ",
        "No & never! ",
        "la la Remember: I was (so I think) -5 degrees, born in 1984 ",
        "Well—yes...no",
    ]
    assert all(map(stands, words))


def test_capitals_are_no_name_where_all_is_capitals(tmp_path: Path) -> None:
    words = read_words(write(tmp_path / "a.srt", srt(("00:00:01,000", "00:00:02,000", "I TOLD HIM: GO"))))
    assert texts(words) == ["I", "TOLD", "HIM", "GO"]


def test_a_sentence_goes_on_until_its_punctuation(tmp_path: Path) -> None:
    cues = [
        ("00:00:01,000", "00:00:02,000", "It goes"),
        ("00:00:03,000", "00:00:04,000", "on. Then it"),
        ("00:00:05,000", "00:00:06,000", "stops."),
    ]
    words = read_words(write(tmp_path / "a.srt", srt(*cues)))
    assert [(word.text, word.sentence, word.sentence_char) for word in words] == [
        ("It", "It goes on. ", 0),
        ("goes", "It goes on. ", 3),
        ("on", "It goes on. ", 8),
        ("Then", "Then it stops.", 0),
        ("it", "Then it stops.", 5),
        ("stops", "Then it stops.", 8),
    ]


def test_a_cue_ends_where_the_next_begins_and_cues_of_one_start_share_it(tmp_path: Path) -> None:
    cues = [
        ("00:00:04,000", "00:00:05,000", "end"),
        ("00:00:01,000", "00:00:09,000", "four"),
        ("00:00:01,000", "00:00:02,000", "cat dog"),
        ("00:00:03,000", "00:00:09,000", "over"),
    ]
    words = read_words(write(tmp_path / "a.srt", srt(*cues)))
    times = [(word.text, round(word.onset_s, 6), round(word.duration_s, 6)) for word in words]
    assert times == [("four", 1, 0.8), ("cat", 1.8, 0.6), ("dog", 2.4, 0.6), ("over", 3, 1), ("end", 4, 1)]


def test_times_inside_a_cue_count(tmp_path: Path) -> None:
    text = (
        "\ufeffWEBVTT - a film\r\n\r\nNOTE nobody says this\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\n"
        "name of a cue\r\n"
        "00:01.000 --> 00:04.000 align:start\r\n<v Anna>one <00:02.000><c>two <00:03.000>three four\r\n\r\n"
        "NOTE\r\nnor this\r\n\r\n2\r\n01:00:05.000 --> 01:00:06.000\r\nborn in\r\n1984\r\n"
    )
    path = tmp_path / "a.vtt"
    path.write_bytes(text.encode())
    words = read_words(path)
    assert [(word.text, round(word.onset_s, 3), word.estimated) for word in words] == [
        ("one", 1, False),
        ("two", 2, False),
        ("three", 3, True),
        ("four", 3.556, True),
        ("born", 3605, True),
        ("in", 3605.4, True),
        ("1984", 3605.6, True),
    ]
    assert words[0].duration_s == 1
    assert all(map(stands, words))


def test_captions_that_roll_up_say_each_line_once(tmp_path: Path) -> None:
    text = """WEBVTT

00:00:00.000 --> 00:00:02.000
 
hello<00:00:00.500><c> world</c>

00:00:02.000 --> 00:00:02.010
hello world
 

00:00:02.010 --> 00:00:04.000
hello world
next<00:00:03.000><c> words</c>

00:00:04.000 --> 00:00:04.010
next words
 

00:00:04.010 --> 00:00:06.000
next words
end
"""  # noqa: W293 - lines with a blank are how they come
    words = read_words(write(tmp_path / "a.vtt", text))
    assert texts(words) == ["hello", "world", "next", "words", "end"]
    assert [round(word.onset_s, 3) for word in words] == [0, 0.5, 2.01, 3, 4.01]


def test_who_says_no_twice_says_it_twice(tmp_path: Path) -> None:
    cues = [(f"00:00:0{k},000", f"00:00:0{k + 1},000", "No.") for k in range(4)]
    assert texts(read_words(write(tmp_path / "a.srt", srt(*cues)))) == ["No"] * 4


def test_styled_subtitles_are_read_without_styles_drawings_and_comments(tmp_path: Path) -> None:
    text = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,{\\i1}Good\\Nday{\\i0}
Dialogue: 1,0:00:01.00,0:00:03.00,Default,,0,0,0,,{\\i1}Good\\Nday{\\i0}
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0{\\p0}
Comment: 0,0:00:04.00,0:00:05.00,Default,,0,0,0,,nobody
"""
    words = read_words(write(tmp_path / "a.ass", text))
    assert [(word.text, word.onset_s) for word in words] == [("Good", 1.0), ("day", pytest.approx(1 + 2 * 4 / 7))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("こんにちは、世界。", list("こんにちは世界")),
        ("好的", ["好", "的"]),
        ("我 喜欢 你", ["我", "喜欢", "你"]),
        ("iPhoneを買う", ["iPhone", "を", "買", "う"]),
        ("안녕 세상", ["안녕", "세상"]),
        ("مرحبا، كيف حالك؟", ["مرحبا", "كيف", "حالك"]),
        ("नमस्ते दुनिया।", ["नमस्ते", "दुनिया"]),
        ("Ça va 🙂 très bien", ["Ça", "va", "très", "bien"]),
        ("สวัสดี ชาวโลก", ["สวัสดี", "ชาวโลก"]),
    ],
)
def test_words_of_any_script_are_found(tmp_path: Path, text: str, expected: list[str]) -> None:
    words = read_words(write(tmp_path / "a.srt", srt(("00:00:01,000", "00:00:02,000", text))))
    assert texts(words) == expected
    assert all(map(stands, words))
    assert {word.sentence for word in words} == {text}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.srt", "", "found no cue"),
        ("a.srt", "not subtitles\n", "found no cue"),
        ("a.ass", "[Events]\nDialogue: x\n", "found no words"),
        ("a.ass", "[Events]\nDialogue: 0,soon,later,Default,,0,0,0,,Good day\n", "cannot be read as subtitles"),
        ("a.srt", srt(("00:00:01,000", "00:00:02,000", "[MUSIC]")), "found no words"),
    ],
)
def test_what_has_no_words_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(StimulusError, match=says) as caught:
        read_words(write(tmp_path / name, text))
    assert name in str(caught.value)
    assert caught.value.hint


def test_a_cue_in_latin1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match="UTF-8"):
        read_words(write(tmp_path / "a.srt", srt(("00:00:01,000", "00:00:02,000", "Ça va")), "latin-1"))
    read_words(write(tmp_path / "b.srt", srt(("00:00:01,000", "00:00:02,000", "Ça va")), "utf-16"))

"""Words recognised in sound by a real, if ignorant, Whisper."""

import importlib.util
import logging
import shutil
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment, TranscriptionInfo, Word

from tribetune.errors import StimulusError
from tribetune.stimulus.event import Event
from tribetune.stimulus.media import probe
from tribetune.stimulus.transcribe import transcribe
from tribetune.stimulus.words import read_words, write_words

TONE = 0.3 * np.sin(np.arange(5 * 16000) * 2 * np.pi * 220 / 16000)  # 5 s at 16 kHz


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("tiny_whisper", Path(__file__).with_name("tiny_whisper.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def heard(whisper: Path, data_folder: Path) -> tuple[Event, ...]:
    return transcribe(data_folder / "media/jfk.flac", str(whisper), device="cpu")


def test_words_are_in_order_and_inside_their_sentences(heard: tuple[Event, ...]) -> None:
    assert len(heard) > 3
    onsets = [word.onset_s for word in heard]
    assert onsets == sorted(onsets)
    assert all(word.text == word.text.strip() != "" for word in heard)
    known = [word for word in heard if word.sentence]
    assert len(known) > len(heard) / 2  # some run into the next segment, whose text they share
    assert all(word.sentence[word.sentence_char :].startswith(word.text) for word in known)
    assert not any(word.estimated for word in heard)


def test_words_of_a_film_are_heard_within_its_sound(
    tmp_path: Path, write_film: Callable[..., Path], whisper: Path
) -> None:
    film = write_film(tmp_path / "film.mp4", places=range(50), sound=TONE)
    told: list[tuple[str, float]] = []
    words = transcribe(film, str(whisper), "en", "cpu", lambda what, share: told.append((what, share)))
    assert words
    assert words[0].onset_s >= 0
    assert max(word.onset_s + word.duration_s for word in words) <= probe(film).duration_s + 1e-9
    assert [share for what, share in told if what == "recognising words"][-1] == 1
    assert ("reading the sound", 1) in told
    assert transcribe(film, str(whisper), device="cpu") == words
    write_words(words, tmp_path / "film_words.tsv")
    assert read_words(tmp_path / "film_words.tsv") == words


def test_all_channels_are_heard(tmp_path: Path, whisper: Path) -> None:
    left = np.round(10000 * TONE[: 3 * 16000]).astype(np.int16)
    sounds = {"one": left[:, None], "two": np.stack([2 * left, 0 * left], 1), "none": 0 * left[:, None]}
    heard = {}
    for name, samples in sounds.items():
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setnchannels(samples.shape[1])
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(samples.tobytes())
        heard[name] = transcribe(tmp_path / f"{name}.wav", str(whisper), device="cpu")
    assert heard["one"] == heard["two"] != heard["none"]


def test_what_is_heard_behind_the_end_is_cut(
    tmp_path: Path, write_film: Callable[..., Path], whisper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [Word(0.5, 40.0, " on", 1.0), Word(40.0, 41.0, " and", 1.0), Word(41.0, 42.0, " on.", 1.0)]
    segment = Segment(1, 0, 0.5, 42.0, " on and on.", [], 0.0, 1.0, 0.0, words, 0.0)
    about = TranscriptionInfo("en", 1.0, 1.0, 1.0, None, None, None)
    monkeypatch.setattr(WhisperModel, "transcribe", lambda *_, **__: ([segment], about))
    sound = write_film(tmp_path / "film.mp4", places=range(10), sound=TONE[:16000])
    end_s = probe(sound).duration_s
    heard = transcribe(sound, str(whisper), device="cpu")
    assert [(word.text, word.onset_s, word.onset_s + word.duration_s) for word in heard] == [
        ("on", 0.5, pytest.approx(end_s)),
        ("and", pytest.approx(end_s), pytest.approx(end_s)),
        ("on.", pytest.approx(end_s), pytest.approx(end_s)),
    ]
    assert [word.sentence_char for word in heard] == [0, 3, 7]


def test_another_language_than_the_models_is_told(
    tmp_path: Path, write_film: Callable[..., Path], whisper: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = write_film(tmp_path / "a.m4a", places=(), sound=TONE[:16000])
    with caplog.at_level(logging.WARNING, logger="tribetune"):
        transcribe(sound, str(whisper), "de", "cpu")
    assert "only knows en" in caplog.text


def test_a_model_that_is_not_here_is_told_with_how_to_get_it(data_folder: Path) -> None:
    for name in ("small", "Systran/faster-whisper-small"):
        with pytest.raises(StimulusError, match=f"speech model {name} is not on this machine") as caught:
            transcribe(data_folder / "media/jfk.flac", name)
        assert "hf download Systran/faster-whisper-small" in caught.value.hint


def test_a_misspelt_model_lists_those_there_are(data_folder: Path) -> None:
    with pytest.raises(StimulusError, match=r"no speech model smal, expected a folder or one of .*large-v3"):
        transcribe(data_folder / "media/jfk.flac", "smal")


def test_a_folder_that_is_no_converted_whisper_is_told_with_how_to_convert(
    tmp_path: Path, whisper: Path, data_folder: Path
) -> None:
    with pytest.raises(StimulusError, match=r"model\.bin, config\.json, tokenizer\.json not found") as caught:
        transcribe(data_folder / "media/jfk.flac", str(tmp_path))
    assert "ct2-transformers-converter" in caught.value.hint
    broken = shutil.copytree(whisper, tmp_path / "broken")
    (broken / "model.bin").write_bytes(b"not a model")
    with pytest.raises(StimulusError, match="cannot be loaded on cpu"):
        transcribe(data_folder / "media/jfk.flac", str(broken), device="cpu")


def test_without_the_extra_the_hint_installs_it(monkeypatch: pytest.MonkeyPatch, data_folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(StimulusError, match="faster_whisper is not installed") as caught:
        transcribe(data_folder / "media/jfk.flac")
    assert caught.value.hint == "pip install 'tribetune[asr]'"


def test_what_has_no_sound_has_no_words(tmp_path: Path, write_film: Callable[..., Path], whisper: Path) -> None:
    with pytest.raises(StimulusError, match="found no sound"):
        transcribe(write_film(tmp_path / "silent.mp4"), str(whisper), device="cpu")

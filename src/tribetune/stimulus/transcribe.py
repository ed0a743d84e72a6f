"""Words heard in a film or a sound by a speech recogniser (Whisper)."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from tribetune.errors import StimulusError
from tribetune.progress import Silent
from tribetune.stimulus.event import Event
from tribetune.stimulus.media import probe, sound
from tribetune.stimulus.sentences import join_texts, placed, whole_sentences

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment

log = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda"]

_HZ = 16000
_CHUNK_S = 60.0
_FILES = ("model.bin", "config.json", "tokenizer.json")
_CONVERT = "ct2-transformers-converter --model IN --output_dir OUT --copy_files tokenizer.json preprocessor_config.json"


def transcribe(
    path: Path,
    model: str = "small",
    language: str | None = None,
    device: Device = "auto",
    on_progress: Callable[[str, float], None] | None = None,
) -> tuple[Event, ...]:
    """Recognise the words of a film or sound.

    Parameters
    ----------
    path : Path
    model : str
        A folder, or a name on the hub such as ``small``, ``large-v3`` or ``Systran/faster-whisper-small``: a Whisper in
        the form of CTranslate2.
    language : str or None
        Such as ``en``; None lets the model find out from the first 30 s.
    device : {"auto", "cpu", "cuda"}
        8-bit integers on a CPU, half precision on a GPU.
    on_progress : callable or None
        Told what is done and how much of it, from 0 to 1.

    Returns
    -------
    tuple of Event
        In order of time, within the sound. Words keep the punctuation that the recogniser puts to them, and sentences
        end at it. The same sound and model give the same words.

    Raises
    ------
    StimulusError
        If faster-whisper is not installed, the model is not there, the language is not one of its, or the sound cannot
        be decoded.

    Notes
    -----
    The times come from the model's attention (openai-whisper's rule) and are coarser than a forced aligner's. Music and
    long silences may be heard as words: look through the table.
    """
    tell = on_progress or Silent().advance
    recogniser = _load(model, device)
    heard = _hear(path, tell)
    duration_s = len(heard) / _HZ
    found = []
    for segment in _segments(recogniser, heard, language):
        found.append(segment)
        tell("recognising words", min(1.0, segment.end / duration_s))
    tell("recognising words", 1.0)
    words = [word for segment in found for word in _words(segment, duration_s)]
    # A word that ends in the next segment shifts all that follow: they are sought in the whole text.
    text = "".join(join_texts([segment.text for segment in found]))
    return tuple(sorted(whole_sentences(placed(words, text)), key=lambda word: word.onset_s))


def _load(model: str, device: Device) -> "WhisperModel":
    try:
        import ctranslate2
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise StimulusError(
            f"words cannot be recognised: {error.name or error} is not installed", hint="pip install 'tribetune[asr]'"
        ) from error
    chosen = device if device != "auto" else "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    folder = _folder(model)
    wanted = ("int8",) if chosen == "cpu" else ("float16", "int8_float16")
    try:
        known = ctranslate2.get_supported_compute_types(chosen)
        precision = next((name for name in wanted if name in known), "default")
        ctranslate2.set_random_seed(0)  # where a stretch is hard to hear, Whisper draws
        return WhisperModel(str(folder), device=chosen, compute_type=precision)
    except (RuntimeError, ValueError) as error:
        raise StimulusError(
            f"{folder}: the speech model cannot be loaded on {chosen}: {error}",
            hint=f"copy the model again, or make it from a Whisper of transformers: {_CONVERT}",
        ) from error


def _folder(model: str) -> Path:
    """Find a model's folder, downloading from the hub what is not in the cache yet."""
    if Path(model).is_dir():
        lacking = [name for name in _FILES if not (Path(model) / name).is_file()]
        if lacking:
            raise StimulusError(
                f"{model}: {', '.join(lacking)} not found, expected a Whisper in the form of CTranslate2",
                hint=f"make it from a Whisper of transformers: {_CONVERT}",
            )
        return Path(model)
    from faster_whisper.utils import available_models, download_model

    if "/" not in model and model not in available_models():
        raise StimulusError(
            f"no speech model {model}, expected a folder or one of {', '.join(available_models())}",
            hint="check the name; --model small is a good start",
        )
    try:
        return Path(download_model(model))
    except (OSError, ValueError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        name = model if "/" in model else f"Systran/faster-whisper-{model}"
        raise StimulusError(
            f"the speech model {model} is not on this machine and cannot be fetched: {first_line}",
            hint=f"fetch it once where there is a network: `hf download {name}`, or give its folder with --model",
        ) from error


def _hear(path: Path, tell: Callable[[str, float], None]) -> Float[np.ndarray, " sample"]:
    """Decode a file's sound and mix it to 16 kHz mono, a minute at a time."""
    import julius
    import torch

    media = probe(path)
    starts_s = np.arange(0.0, max(media.duration_s, 1 / _HZ), _CHUNK_S)
    spans = [(float(start_s), min(_CHUNK_S, media.duration_s - float(start_s))) for start_s in starts_s]
    pieces = []
    for number, piece in enumerate(sound(path, spans), 1):
        mono = torch.from_numpy(piece.mean(0, keepdims=True))
        pieces.append(julius.resample_frac(mono, media.sample_hz, _HZ)[0].numpy())
        tell("reading the sound", number / len(spans))
    heard = np.concatenate([*pieces, np.zeros(0, np.float32)])
    if not len(heard):
        raise StimulusError(f"{path}: the sound is empty, expected speech", hint="check that it plays")
    return heard


def _segments(
    recogniser: "WhisperModel", heard: Float[np.ndarray, " sample"], language: str | None
) -> "Iterator[Segment]":
    try:
        segments, info = recogniser.transcribe(
            heard,
            language=language,
            word_timestamps=True,
            condition_on_previous_text=False,  # else one mistake may repeat itself to the end
        )
    except ValueError as error:
        raise StimulusError(f"the language {language} is not known: {error}", hint="--language auto") from error
    if language not in (None, info.language):
        log.warning("the speech model only knows %s: %s is not heard as such", info.language, language)
    elif language is None:
        log.info("the language is taken for %s (%.0f %%)", info.language, 100 * info.language_probability)
    yield from segments


def _words(segment: "Segment", duration_s: float) -> Iterator[Event]:
    """The words of a segment; what the model hears in the silence that it adds behind the end is cut."""
    for word in segment.words or ():
        start_s, stop_s = (min(float(time_s), duration_s) for time_s in (word.start, word.end))
        if word.word.strip():
            yield Event("word", start_s, max(0.0, stop_s - start_s), None, word.word.strip())

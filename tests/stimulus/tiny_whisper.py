"""A Whisper of one layer with random weights, converted as real ones are: it hears words in anything."""

import json
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import AddedToken, Tokenizer
from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

from tribetune.features.vocabulary import tokenizer_json

SPECIAL = ("startoftranscript", "en", "translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
"""Whisper's own tokens, in the order that its readers count on, between the words and the times."""


def make_tiny_whisper(folder: Path) -> Path:
    """Write an English Whisper of 64 dimensions in the form of CTranslate2."""
    tokenizer = Tokenizer.from_str(json.dumps(_vocabulary()))
    tokenizer.add_special_tokens(["<|endoftext|>", *(f"<|{name}|>" for name in SPECIAL)])
    tokenizer.add_tokens([AddedToken(f"<|{place * 0.02:.2f}|>", normalized=False) for place in range(1501)])
    end = {f"{name}_token": "<|endoftext|>" for name in ("bos", "eos", "unk")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **end).save_pretrained(folder / "hub")
    torch.manual_seed(0)
    ends = {f"{name}_token_id": tokenizer.token_to_id("<|endoftext|>") for name in ("bos", "eos", "pad")}
    ends["decoder_start_token_id"] = tokenizer.token_to_id("<|startoftranscript|>")
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokenizer.get_vocab_size(),
            d_model=64,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=128,
            decoder_ffn_dim=128,
            suppress_tokens=[],
            begin_suppress_tokens=[],
            **ends,
        )
    )
    model.generation_config = GenerationConfig(suppress_tokens=[], begin_suppress_tokens=[], **ends)
    model.save_pretrained(folder / "hub")
    made = folder / "whisper"
    TransformersConverter(str(folder / "hub"), copy_files=["tokenizer.json"]).convert(str(made), quantization="int8")
    return made


def _vocabulary() -> dict:
    vocabulary = tokenizer_json()
    words = [token for token in vocabulary["model"]["vocab"] if not token.startswith("<|")]
    vocabulary["model"]["vocab"] = {token: number for number, token in enumerate(words)}
    return {**vocabulary, "added_tokens": []}

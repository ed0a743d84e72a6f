"""Which frozen encoders make the features, and what exactly they are."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tribetune.errors import FeatureError
from tribetune.features.layers import SETTINGS, Groups, layer_groups
from tribetune.features.tiny import make_tiny_encoders, tiny_fingerprint
from tribetune.features.weights import find_files, hash_tokenizer, hash_weights, read_config, read_preprocessor

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MODALITIES = ("text", "audio", "video")
"""In the order of the reference's features."""

IMPORTED = "imported"
"""Stands for encoders that are not there: their features were imported."""

_HUB = {
    "released": {
        "text": "meta-llama/Llama-3.2-3B",
        "audio": "facebook/w2v-bert-2.0",
        "video": "facebook/vjepa2-vitg-fpc64-256",
    },
    "mini": {
        "text": "Qwen/Qwen3-0.6B",
        "audio": "facebook/w2v-bert-2.0",
        "video": "facebook/vjepa2-vitl-fpc64-256",
    },
}
_SUBFOLDERS = {"text": ("text", "llama"), "audio": ("audio", "w2v-bert"), "video": ("video", "vjepa2")}


@dataclass(frozen=True)
class Options:
    """What an extraction may do in more than one way; every choice is part of the features' identity.

    Parameters
    ----------
    setting : str
        Which hidden states: ``released``, ``defaults``, ``mini`` or ``all``.
    context_words : int
        Words before each word that the text encoder reads.
    stride_words : int
        Past the first ``context_words`` words, as many words share one context of at least that length; 1 gives every
        word exactly its own.
    frames : int or None
        Per clip; None: what the encoder's preprocessor asks for, else 64.
    normed_last_state : bool
        Whether the last state of V-JEPA2 is the one after its final norm. transformers before 5.4 gave that one, later
        ones do not; the released TRIBE was trained when it did, so it is assumed here.
    weights : {"float32", "stored"}
        Precision of the encoders' weights. transformers before 5 loaded float32, later ones what the file stores (Llama
        3.2: bfloat16); the released TRIBE is assumed to have been trained on float32.
    chunk_s : tuple of float
        Longest and shortest stretch of sound that is encoded at once, in seconds (spec e.4).
    reference : bool
        Repeat the reference's faults, too (``--reference-compatible``): all words again for every chunk of a sound;
        films cut like sound, whose first frame stands still in every chunk's first four seconds; padding counted as
        words; words without a sentence left out; and features kept in float32.
    """

    setting: str = "released"
    context_words: int = 1024
    stride_words: int = 128
    frames: int | None = None
    normed_last_state: bool = True
    weights: str = "float32"
    chunk_s: tuple[float, float] = (60.0, 30.0)
    reference: bool = False


@dataclass(frozen=True)
class Encoder:
    """One frozen encoder and the states taken from it.

    Parameters
    ----------
    modality : {"text", "audio", "video"}
    name : str
        Its folder's name, or its name on the hub.
    source : str
        A folder, or a name on the hub; looked for when first needed.
    options : Options
    """

    modality: str
    name: str
    source: str
    options: Options

    @cached_property
    def folder(self) -> Path:
        """Where its files are."""
        return find_files(self.source, self.modality)

    @cached_property
    def groups(self) -> Groups:
        """Per feature layer, the hidden states it averages."""
        n_states = int(self._size("num_hidden_layers")) + 1
        return layer_groups(SETTINGS[self.options.setting], n_states, self.modality)

    @property
    def layers(self) -> int:
        """Feature layers it gives."""
        return len(self.groups)

    @property
    def dim(self) -> int:
        """Width of a feature layer."""
        return int(self._size("hidden_size"))

    @cached_property
    def preprocessor(self) -> dict[str, Any]:
        """How it wants pictures or sound prepared."""
        return read_preprocessor(self.folder, self.modality)

    @property
    def frames(self) -> int:
        """Frames in a clip of video."""
        return int(self.options.frames or self.preprocessor.get("num_frames") or 64)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Plain values that decide the features: weights, configuration, states and options."""
        common = {
            "config": read_config(self.folder),
            "weights": hash_weights(self.folder),
            "weights_dtype": self.options.weights,
            "setting": self.options.setting,
            "groups": [list(group) for group in self.groups],
            **({"reference": True} if self.options.reference else {}),
        }
        if self.modality == "text":
            chosen = {name: getattr(self.options, name) for name in ("context_words", "stride_words")}
            return {**common, **chosen, "tokenizer": hash_tokenizer(self.folder)}
        prepared = {**common, "preprocessor": self.preprocessor}
        if self.modality == "audio" or self.options.reference:
            prepared["chunk_s"] = list(self.options.chunk_s)
        if self.modality == "video":
            prepared |= {"frames": self.frames, "normed_last_state": self.options.normed_last_state}
        return prepared

    def load(self, device: "torch.device") -> "PreTrainedModel":
        """Load the encoder, frozen, in the precision that the options ask for.

        Raises
        ------
        FeatureError
            If its files cannot be loaded, or leave weights without a value.
        """
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModel

        dtype = torch.float32 if self.options.weights == "float32" else "auto"
        try:
            with _without_progress_bars():
                model, report = AutoModel.from_pretrained(
                    self.folder, dtype=dtype, output_loading_info=True, trust_remote_code=False
                )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise FeatureError(
                f"{self.folder}: the {self.modality} encoder cannot be loaded: {str(error).strip().splitlines()[0]}",
                hint="copy the encoder again, or delete it from the cache so that it is fetched anew",
            ) from error
        lacking = sorted(key for key in report["missing_keys"] if not key.startswith(_UNUSED))
        if lacking:
            raise FeatureError(
                f"{self.folder}: {len(lacking)} weights of the {self.modality} encoder are missing, first {lacking[0]}",
                hint="copy the encoder again; features from random weights would mean nothing",
            )
        return model.eval().requires_grad_(False).to(device)

    def _size(self, key: str) -> Any:
        config = read_config(self.folder)
        if key not in config:
            raise FeatureError(
                f"{self.folder / 'config.json'}: {key} not found, got model type {config.get('model_type')}",
                hint="expected an encoder such as Llama, Qwen3, Wav2Vec2-BERT or V-JEPA2",
            )
        return config[key]


_UNUSED = ("pooler.", "predictor.", "masked_spec_embed")


@dataclass(frozen=True)
class Encoders:
    """One encoder per modality.

    Parameters
    ----------
    name : str
    by_modality : mapping of str to Encoder
    """

    name: str
    by_modality: Mapping[str, Encoder]

    def __getitem__(self, modality: str) -> Encoder:
        if self.name == IMPORTED:
            raise FeatureError(
                "imported features have no encoder, but one is needed here",
                hint="give tiny, mini, released or a folder",
            )
        if modality not in self.by_modality:
            raise FeatureError(
                f"encoders {self.name} have no {modality}, got {', '.join(self.by_modality)}",
                hint=f"put it into {self.name}/{modality}",
            )
        return self.by_modality[modality]

    def dims(self, modalities: tuple[str, ...] = MODALITIES) -> dict[str, tuple[int, int]]:
        """Layers and width of the features of each modality."""
        return {modality: (self[modality].layers, self[modality].dim) for modality in modalities}


def encoders(name: str | Path, options: Options | None = None) -> Encoders:
    """Choose encoders by name; nothing is loaded yet.

    Parameters
    ----------
    name : str or Path
        ``tiny`` (made on the spot), ``mini`` or ``released`` (from the hub), or a folder with the subfolders ``text``,
        ``audio``, ``video``; or ``imported``, for what `features import` put into the store.
    options : Options or None
        None: the defaults, with the setting ``mini`` for the mini encoders.

    Raises
    ------
    FeatureError
        If there are no such encoders.
    """
    chosen = options or Options(setting="mini" if name == "mini" else "released")
    if chosen.setting not in SETTINGS:
        raise FeatureError(
            f"setting {chosen.setting!r} is not known, expected one of {', '.join(SETTINGS)}", hint="change setting"
        )
    if name == IMPORTED:
        return Encoders(IMPORTED, {})
    if str(name) in _HUB:
        sources = {modality: (hub, hub) for modality, hub in _HUB[str(name)].items()}
    else:
        sources = _in_folder(_tiny_folder() if name == "tiny" else Path(name))
    return Encoders(
        str(name),
        {m: Encoder(m, label, source, chosen) for m, (label, source) in sources.items()},
    )


def named_set(models: Mapping[str, str]) -> str | None:
    """The known set of encoders on the hub (``released`` or ``mini``) that these models belong to, if there is one."""
    known = [name for name, hub in _HUB.items() if models and all(hub.get(m) == model for m, model in models.items())]
    return known[0] if known else None


def pick_device(name: str) -> "torch.device":
    """Turn ``auto``, ``cpu``, ``cuda`` or ``mps`` into a device that is there."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(kind for kind, found in there.items() if found) if name == "auto" else name.split(":")[0]
    if not there.get(kind, False):
        found = ", ".join(kind for kind in there if there[kind])
        raise FeatureError(f"device {name} is not there, found {found}", hint="use auto")
    return torch.device(kind if name == "auto" else name)


def _in_folder(folder: Path) -> dict[str, tuple[str, str]]:
    found = {
        modality: (f"{folder.name}/{name}", str(folder / name))
        for modality, names in _SUBFOLDERS.items()
        for name in reversed(names)
        if (folder / name).is_dir()
    }
    if not found:
        there = "has none of the subfolders text, audio, video" if folder.is_dir() else "is no folder"
        raise FeatureError(
            f"encoders {folder}: {there}; expected tiny, mini, released, imported or a folder of encoders",
            hint="use `tiny` to try things out; `released` is what TRIBE was trained with",
        )
    return found


def _tiny_folder() -> Path:
    """Where the tiny encoders are kept, made when missing."""
    root = os.environ.get("TRIBETUNE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "tribetune"
    folder = Path(root).expanduser() / f"encoders/tiny-{tiny_fingerprint()}"
    try:
        return make_tiny_encoders(folder)
    except OSError as error:
        raise FeatureError(
            f"{folder}: the tiny encoders cannot be written: {error}",
            hint="set TRIBETUNE_CACHE to a folder that can be written",
        ) from error


@contextmanager
def _without_progress_bars() -> Generator[None]:
    from transformers.utils import logging as transformers_logging

    was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            transformers_logging.enable_progress_bar()

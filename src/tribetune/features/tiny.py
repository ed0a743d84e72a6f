"""Small encoders of the real classes, with weights that depend on nothing but a seed."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.features.vocabulary import tokenizer_json
from tribetune.files import write_json

TINY_DIM = 64
"""Width of every tiny encoder."""

_SHARED = {
    "hidden_size": TINY_DIM,
    "num_hidden_layers": 4,
    "intermediate_size": 2 * TINY_DIM,
    "initializer_range": 0.02,
    "dtype": "float32",
}

_CONFIGS: dict[str, dict[str, Any]] = {
    "text": {
        **_SHARED,
        "architectures": ["LlamaModel"],
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "attention_bias": True,  # lets seeded weights attend to the near past, see _fill
        "hidden_act": "silu",
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    "video": {
        **_SHARED,
        "architectures": ["VJEPA2Model"],
        "model_type": "vjepa2",
        "num_attention_heads": 2,
        "mlp_ratio": 2.0,
        "image_size": 48,
        "crop_size": 48,
        "patch_size": 16,
        "tubelet_size": 2,
        "frames_per_clip": 16,
        "pred_hidden_size": 32,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
        "pred_num_mask_tokens": 1,
        "pred_mlp_ratio": 1.0,
    },
    "audio": {
        **_SHARED,
        "architectures": ["Wav2Vec2BertModel"],
        "model_type": "wav2vec2-bert",
        "num_attention_heads": 2,
        "hidden_act": "swish",
        "feature_projection_input_dim": 160,
        "conv_depthwise_kernel_size": 15,
        "position_embeddings_type": None,  # relative keys cost (time, time, dim) floats
        "add_adapter": False,
        "apply_spec_augment": False,
        "mask_time_prob": 0.0,
    },
}

_PREPROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "video": (
        "video_preprocessor_config.json",
        {
            "video_processor_type": "VJEPA2VideoProcessor",
            "size": {"shortest_edge": 54},
            "crop_size": {"height": 48, "width": 48},
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
            "rescale_factor": 1 / 255,
            "num_frames": 16,
        },
    ),
    "audio": (
        "preprocessor_config.json",
        {
            "feature_extractor_type": "SeamlessM4TFeatureExtractor",
            "feature_size": 80,
            "num_mel_bins": 80,
            "padding_side": "right",
            "padding_value": 1,
            "return_attention_mask": True,
            "sampling_rate": 16000,
            "stride": 2,
        },
    ),
}


def make_tiny_encoders(folder: Path, seed: int = 0) -> Path:
    """Write a Llama, a V-JEPA2 and a Wav2Vec2-BERT of 64 dimensions, to be loaded as real ones are.

    Parameters
    ----------
    folder : Path
        Gets the subfolders ``text``, ``video`` and ``audio``; appears whole or not at all. One that exists stays.
    seed : int
        Of the weights: the same seed gives the same bytes.

    Returns
    -------
    Path
        ``folder``.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        for modality in _CONFIGS:
            _write_encoder(part / modality, modality, seed)
        part.chmod(0o755)
        part.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was faster, and its bytes are the same
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def tiny_fingerprint() -> str:
    """Hash of the code that makes the tiny encoders: it names their folder, so that none is ever out of date."""
    here = Path(__file__)
    return hashlib.sha256(here.read_bytes() + here.with_name("vocabulary.py").read_bytes()).hexdigest()[:12]


def _write_encoder(folder: Path, modality: str, seed: int) -> None:
    from safetensors.numpy import save_file

    folder.mkdir()
    config = dict(_CONFIGS[modality])
    if modality == "text":
        vocabulary = tokenizer_json()
        config["vocab_size"] = len(vocabulary["model"]["vocab"])
        write_json(folder / "tokenizer.json", vocabulary)
        names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "model_max_length": 131072}
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    else:
        name, preprocessor = _PREPROCESSORS[modality]
        write_json(folder / name, preprocessor)
    write_json(folder / "config.json", config)
    weights = {name: _fill(name, shape, seed) for name, shape in _shapes(folder)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def _shapes(folder: Path) -> list[tuple[str, tuple[int, ...]]]:
    import torch
    from transformers import AutoConfig, AutoModel

    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    return [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]


def _fill(name: str, shape: Sequence[int], seed: int) -> Float[np.ndarray, "..."]:
    """Weights under which the input survives to the pooled states: a residual stream of unit scale, gentle branches."""
    if name.endswith("bias"):
        return _bias(name, shape, seed)
    if re.search(r"norm\w*\.weight$", name):
        return np.ones(shape, np.float32)
    fan_in = int(np.prod(shape[1:]))
    values = _uniform(name, shape, seed)
    if "embed_tokens" in name:
        return values  # one random direction per token
    if "depthwise_conv" in name:
        return (values + np.float32(1.5)) / np.float32(fan_in)  # mostly an average over time
    if "patch_embeddings" in name:
        half = shape[0] // 2
        values[half:] *= 3  # change is smaller than light
        values[half:, :, 1] = -values[half:, :, 0]  # half of the filters see change from frame to frame
    return values / np.float32(np.sqrt(fan_in))


def _bias(name: str, shape: Sequence[int], seed: int) -> Float[np.ndarray, "..."]:
    if re.search(r"self_attn\.[qk]_proj\.bias$", name):
        # The same bias in queries and keys makes rotary attention favour the near past, as trained heads do; without
        # the fast rotations a head looks further back.
        values = 2 * _uniform(name.replace("k_proj", "q_proj"), shape, seed).reshape(4, 2, -1)
        for head in range(4):
            values[head, :, : 2 * head] = 0
        return values.reshape(shape)
    if "patch_embeddings" in name:
        return _uniform(name, shape, seed)  # keeps layer norm from hiding how bright a patch is
    return np.zeros(shape, np.float32)


def _uniform(name: str, shape: Sequence[int], seed: int) -> Float[np.ndarray, "..."]:
    """Uniform values of unit variance from integer arithmetic only: the same bits on every machine."""
    entropy = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], "little")
    raw = np.random.PCG64(entropy).random_raw(int(np.prod(shape)))
    unit = (raw >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
    return (unit * np.float32(3**0.5)).reshape(shape)

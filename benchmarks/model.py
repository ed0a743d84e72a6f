"""The full-size model against the reference's procedure: seconds of a forward of 8 windows, and peak memory.

``reference_forward`` re-creates the reference's order of work with the same weights: attention by einsum, the readout's
weights gathered per sample, the readout at 2 Hz and the pooling after it. ``tests/model`` uses it as an oracle, too.

    python benchmarks/model.py [--json] [--repeats 5] [--threads N]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tribetune.model.config import TribeConfig
from tribetune.model.official import official_key
from tribetune.model.tribe import Tribe

N_WINDOWS, N_STEPS = 8, 200


def full_size(rows: int = 1) -> TribeConfig:
    """The released TRIBE v2 (spec a)."""
    return TribeConfig(
        modalities={"text": (2, 3072), "audio": (2, 1024), "video": (2, 1408)},
        hidden=1152,
        depth=8,
        heads=8,
        n_outputs=20484,
        rows=rows,
        low_rank=2048,
        space="fsaverage5",
    )


@torch.no_grad()
def reference_forward(tribe: Tribe, features: Mapping[str, Tensor], rows: list[int], n_trs: int) -> Tensor:
    """Predict as the reference does (spec a), from the weights alone; shape (batch, n_trs, n_outputs)."""
    return reference_predict(tribe.state_dict(), replace(tribe.config, modality_dropout=0.0), features, rows, n_trs)


def reference_predict(
    weight: Mapping[str, Tensor], config: TribeConfig, features: Mapping[str, Tensor], rows: list[int], n_trs: int
) -> Tensor:
    """``reference_forward`` with gradients, and with the training noise that ``config`` asks for (spec a.3)."""
    x = _projected(weight, config, features)
    if config.temporal_smoothing:
        kernel = weight["smoothing.weight"]
        x = functional.conv1d(x.mT, kernel, padding=kernel.shape[-1] // 2, groups=len(kernel)).mT
    if config.combiner:
        x = _linear(x, weight, "combiner")
    if config.time_embedding:
        x = x + weight["time_embedding"][:, : x.shape[1]]
    for k in range(config.depth):
        x = _attended(weight, f"trunk.attentions.{k}", config, x)
        x = _fed_forward(weight, f"trunk.feedforwards.{k}", x)
    x = _scale_norm(x, weight["trunk.final_norm.g"])
    if config.low_rank:
        x = _linear(x, weight, "low_rank")
    gathered = weight["subjects.weights"].index_select(0, torch.tensor(rows))
    y = torch.einsum("btd,bdo->bot", x, gathered) + weight["subjects.bias"][rows][:, :, None]
    return functional.adaptive_avg_pool1d(y, n_trs).mT


def _projected(weight: Mapping[str, Tensor], config: TribeConfig, features: Mapping[str, Tensor]) -> Tensor:
    batch, n_steps = next((len(x), x.shape[-1]) for x in features.values())
    parts = []
    for name in config.modalities:
        x = features.get(name)
        if x is None:
            parts.append(torch.zeros(batch, n_steps, config.width))
            continue
        x = x.float().flatten(1, 2) if config.layer_aggregation == "cat" else x.float().mean(1)
        part = _linear(x.mT, weight, f"projectors.{name}")
        if config.modality_dropout:
            part = part.masked_fill((torch.rand(batch) < config.modality_dropout)[:, None, None], 0.0)
        parts.append(part)
    return torch.cat(parts, dim=-1)


def _linear(x: Tensor, weight: Mapping[str, Tensor], key: str) -> Tensor:
    return functional.linear(x, weight[f"{key}.weight"], weight.get(f"{key}.bias"))


def _scale_norm(x: Tensor, gain: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12) * x.shape[-1] ** 0.5 * gain


def _attended(weight: Mapping[str, Tensor], key: str, config: TribeConfig, x: Tensor) -> Tensor:
    normed = _scale_norm(x, weight[f"{key}.norm.g"])
    q, k, v = (
        _linear(normed, weight, f"{key}.branch.to_{name}").unflatten(-1, (config.heads, -1)).transpose(1, 2)
        for name in "qkv"
    )
    q, k = _rotated(q, config.dim_head), _rotated(k, config.dim_head)
    mixing = (torch.einsum("bhid,bhjd->bhij", q, k) * config.dim_head**-0.5).softmax(-1)
    mixed = torch.einsum("bhij,bhjd->bhid", mixing, v).transpose(1, 2).flatten(2)
    return _linear(mixed, weight, f"{key}.branch.to_out") + weight[f"{key}.residual_scale"] * x


def _rotated(x: Tensor, dim_head: int) -> Tensor:
    turned = max(dim_head // 2, 32)
    frequency = 10000 ** -(torch.arange(0, turned, 2).float() / turned)
    angle = (torch.arange(x.shape[-2]).float()[:, None] * frequency).repeat(1, 2)
    width = angle.shape[-1]
    head, rest = x[..., :width], x[..., width:]
    one, two = head.chunk(2, dim=-1)
    return torch.cat([head * angle.cos() + torch.cat([-two, one], dim=-1) * angle.sin(), rest], dim=-1)


def _fed_forward(weight: Mapping[str, Tensor], key: str, x: Tensor) -> Tensor:
    normed = _scale_norm(x, weight[f"{key}.norm.g"])
    wide = functional.gelu(_linear(normed, weight, f"{key}.branch.ff_in"))
    narrow = _linear(wide, weight, f"{key}.branch.ff_out")
    return narrow + weight[f"{key}.residual_scale"] * x


def write_official(tribe: Tribe, folder: Path) -> None:
    """Write a Tribe in the official layout (spec b, c), for tests and measurements."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tribe.config
    torch.save(
        {
            "state_dict": {official_key(key): weight for key, weight in tribe.state_dict().items()},
            "model_build_args": {
                "feature_dims": dict(config.modalities),
                "n_outputs": config.n_outputs,
                "n_output_timesteps": 100,
            },
        },
        folder / "best.ckpt",
    )
    brain = {
        "hidden": config.hidden,
        "encoder": {"depth": config.depth, "heads": config.heads, "ff_mult": config.ff_mult},
        "subject_layers": {"n_subjects": 25, "subject_dropout": 0.1 if config.unseen_row else None},
        "low_rank_head": config.low_rank,
        "layer_aggregation": config.layer_aggregation,
        "combiner": {"hidden_sizes": None, "name": "Mlp"} if config.combiner else None,
        "temporal_smoothing": {"kernel_size": config.temporal_smoothing} if config.temporal_smoothing else None,
        "time_pos_embedding": config.time_embedding,
        "max_seq_len": config.max_steps,
        "modality_dropout": config.modality_dropout,
    }
    # JSON is YAML, so no writer of YAML is needed
    (folder / "config.yaml").write_text(json.dumps({"brain_model_config": brain, "data": {"neuro": {"offset": 5.0}}}))


_PEAK = """
import sys
def peak_gb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6
"""

_CONVERT = """
from tribetune.model.conversion import convert
convert(sys.argv[1], sys.argv[2])
print(peak_gb())
"""

_PREDICT = """
import torch
from tribetune import Tribe
tribe = Tribe.from_pretrained(sys.argv[1])
sizes = {name: size for name, size in tribe.config.modalities.items()}
features = {name: torch.randn(1, *size, 200) for name, size in sizes.items()}
with torch.inference_mode():
    assert tribe(features).shape == (1, 100, tribe.config.n_outputs)
print(peak_gb())
"""


def peak_memory(config: TribeConfig, folder: Path) -> dict[str, float]:
    """Gigabytes at the highest (Linux): converting an official file, and predicting 100 s from each of the two.

    Every figure is a fresh process, from the import on.
    """
    source, ours = folder / "official", folder / "ours"
    write_official(Tribe(config), source)
    return {
        "convert": _peak(_CONVERT, source, ours),
        "predict": _peak(_PREDICT, ours),
        "predict from the official file": _peak(_PREDICT, source),
    }


def _peak(script: str, *arguments: Path) -> float:
    command = [sys.executable, "-c", _PEAK + script, *map(str, arguments)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def seconds(work: Mapping[str, Callable[[], Tensor]], repeats: int) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Median seconds of each, interleaved so that a busy machine is unfair to none, and the last results."""
    results = {name: run() for name, run in work.items()}  # once to warm up
    spent: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            start = time.perf_counter()
            results[name] = run()
            spent[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in spent.items()}, results


def _flag(name: str) -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and name in cpu.read_text().split()


def main() -> None:
    """Measure, print the table, and with ``--json`` the ratios as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        peak = peak_memory(full_size(), Path(scratch))
    tribe = Tribe(full_size()).eval()
    features = {name: torch.randn(N_WINDOWS, *size, N_STEPS) for name, size in tribe.config.modalities.items() if size}
    spent, results = seconds(_contestants(tribe, features), options.repeats)
    _report(spent, results, peak, as_json=options.json)


def _contestants(tribe: Tribe, features: Mapping[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
    rows = [0] * N_WINDOWS

    @torch.inference_mode()
    def ours() -> Tensor:
        return tribe(features)

    @torch.inference_mode()
    def ours_bf16() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return tribe(features)

    return {"reference": lambda: reference_forward(tribe, features, rows, 100), "fp32": ours, "bf16": ours_bf16}


def _report(spent: dict[str, float], results: dict[str, Tensor], peak: dict[str, float], *, as_json: bool) -> None:
    ratios = {f"forward {name}": round(spent["reference"] / spent[name], 3) for name in ("fp32", "bf16")}
    error = (results["fp32"] - results["reference"]).abs().max().item()
    r = torch.corrcoef(torch.stack([results["fp32"].flatten(), results["bf16"].float().flatten()]))[0, 1].item()
    print(f"forward of {N_WINDOWS} windows, {torch.get_num_threads()} threads, avx512_bf16: {_flag('avx512_bf16')}")
    for name, value in spent.items():
        print(f"  {name:<10} {value:6.2f} s   {spent['reference'] / value:5.2f} x")
    print(f"  fp32 - reference: at most {error:.1e};  r of bf16 and fp32: {r:.6f}")
    for name, value in peak.items():
        print(f"  peak, {name}: {value:.2f} GB")
    if as_json:
        print(json.dumps({"ratios": ratios, "peak_gb": {name: round(value, 3) for name, value in peak.items()}}))


if __name__ == "__main__":
    main()

"""The uncertainty of an adapter's predictions, a second file of its bundle."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tribetune.adapt.uncertainty import Uncertainty
from tribetune.errors import AdaptationError
from tribetune.files import whole
from tribetune.share.bundle import UNCERTAINTY, file_facts, read_facts, write_facts
from tribetune.share.plain_files import check_tensor_file

_PARTS = ("noise", "centre", "directions", "spectra", "floor", "group")
_AGAIN = "fetch the adapter again"


def save_uncertainty(found: Uncertainty, folder: Path) -> None:
    """Add it to a bundle: all float32, because readers take nothing else.

    Parameters
    ----------
    found : Uncertainty
    folder : Path
        Made by `tribetune.share.bundle.save_adapter`.
    """
    tensors = {name: getattr(found, name).float().contiguous() for name in _PARTS}
    with whole(folder / UNCERTAINTY) as part:
        save_file(tensors, part, metadata={"covers": found.covers})
    write_facts(folder, {**read_facts(folder), "files": file_facts(folder)})


def load_uncertainty(folder: Path, n_inputs: int, n_outputs: int) -> Uncertainty:
    """Read it from a bundle whose hashes were checked, see `tribetune.share.bundle.load_adapter`.

    Parameters
    ----------
    folder : Path
    n_inputs, n_outputs : int
        Channels that the readout reads, and its outputs.

    Raises
    ------
    AdaptationError
        If the bundle has none, or it does not fit the model.
    """
    path = folder / UNCERTAINTY
    if UNCERTAINTY not in read_facts(folder).get("files", {}):
        raise AdaptationError(
            f"{folder} has no {UNCERTAINTY}: how far BOLD lies from its predictions is not known",
            hint="adapt again with two windows of calibration data or more, and evaluation.uncertainty on",
        )
    check_tensor_file(path)
    try:
        with safe_open(path, "pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            covers = (file.metadata() or {}).get("covers", "")
    except (OSError, SafetensorError) as error:
        raise AdaptationError(f"{path} cannot be read: {error}", hint=_AGAIN) from error
    if fault := _fault(tensors, n_inputs, n_outputs):
        raise AdaptationError(f"{path}: {fault}", hint=_AGAIN)
    return Uncertainty(**{**tensors, "group": tensors["group"].long()}, covers=covers)


def _fault(tensors: dict[str, Tensor], n_inputs: int, n_outputs: int) -> str:
    if set(tensors) != set(_PARTS):
        return f"holds {', '.join(sorted(tensors))}, expected {', '.join(sorted(_PARTS))}"
    n_groups, n_directions = (*tensors["spectra"].shape, 0, 0)[:2]
    sizes = {
        "noise": (n_outputs,), "centre": (n_inputs,), "directions": (n_inputs, n_directions),
        "spectra": (n_groups, n_directions), "floor": (n_groups,), "group": (n_outputs,),
    }  # fmt: skip
    wrong = [name for name, size in sizes.items() if tuple(tensors[name].shape) != size]
    if wrong:
        return f"{wrong[0]} is {tuple(tensors[wrong[0]].shape)}, expected {sizes[wrong[0]]}"
    broken = [name for name in _PARTS[1:] if not torch.isfinite(tensors[name]).all()]
    if broken or not ((tensors["noise"] >= 0) | tensors["noise"].isnan()).all():
        return f"{[*broken, 'noise'][0]} is not finite, or negative"
    group = tensors["group"]
    if not ((group == group.round()) & (group >= 0) & (group < n_groups)).all():
        return "group names a spectrum that is not there"
    return ""

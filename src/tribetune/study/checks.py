"""Checks after training: the adapter changed the output, and nothing that it should not touch."""

import hashlib

import numpy as np
import torch

from tribetune.adapt.adapter import Adapter
from tribetune.adapt.latents import window_latents
from tribetune.adapt.rows import starting_row, with_row
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe
from tribetune.windows import Window

ABSURD = 1000
"""Spread of a prediction, in units of that of BOLD, that no fit but one that diverged has."""


def weights_digest(tribe: Tribe) -> str:
    """Hash of every weight's bits, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tribe.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().view(torch.uint8).numpy())
    return digest.hexdigest()


def check_change(tribe: Tribe, adapter: Adapter, window: Window, before: str) -> None:
    """Refuse an adapter that changes nothing, or whose training touched the checkpoint.

    Parameters
    ----------
    tribe : Tribe
        The checkpoint's model, after training.
    adapter : Adapter
        What was trained.
    window : Window
        Any calibration window.
    before : str
        `weights_digest` of the model before training.

    Raises
    ------
    RuntimeError
        If the trunk or the unseen row is not bitwise what it was: our fault, after which nobody else is adapted to.
    AdaptationError
        If the adapter's prediction is where its readout started, is not finite, or has `ABSURD` times BOLD's spread.
    """
    if weights_digest(tribe) != before:
        raise RuntimeError("training changed the checkpoint's own weights")
    model = adapter.apply(tribe)
    with torch.inference_mode():
        latents = window_latents(model, window)[None]
        personal = model.readout(latents, torch.tensor([0]))
        began = with_row(tribe, *starting_row(tribe, personal.shape[-1]))
        group = began.readout(window_latents(tribe, window)[None], torch.tensor([0]))
    if model.config.unseen_row:
        _check_unseen(model, tribe)
    if fault := _divergence(personal[0], window):
        raise AdaptationError(f"{adapter.method} diverged: {fault}", hint="lower adaptation.learning_rate, or 'auto'")
    if torch.equal(personal, group):
        raise AdaptationError(
            f"{adapter.method} changed nothing: its prediction is where it started",
            hint="raise adaptation.learning_rate, or give more calibration data",
        )


def _divergence(predicted: torch.Tensor, window: Window) -> str:
    """What of a prediction says that training diverged; empty where nothing does."""
    if not torch.isfinite(predicted).all():
        return "its prediction is not finite"
    spread = float(predicted.double().std(0, correction=0).max())
    typical = float(np.nanmedian(window.bold[window.mask].std(0)))
    if spread > ABSURD * typical > 0:
        return f"its prediction has {spread / typical:.1g} times the spread of BOLD"
    return ""


def _check_unseen(model: Tribe, tribe: Tribe) -> None:
    same = torch.equal(model.subjects.weights[-1], tribe.subjects.weights[-1])
    if not (same and torch.equal(model.subjects.bias[-1], tribe.subjects.bias[-1])):
        raise RuntimeError("the unseen row changed")

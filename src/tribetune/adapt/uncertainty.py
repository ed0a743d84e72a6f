"""How far BOLD lies about an adapter's prediction, per output: noise, and what the readout's weights do not know."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tribetune.adapt.adapter import personal_row
from tribetune.adapt.base import Base
from tribetune.adapt.latents import drawn
from tribetune.adapt.left_out import ClosedForm, LeftOut, Made, fitting
from tribetune.adapt.methods import fit_method
from tribetune.adapt.rows import starting_row, with_rows
from tribetune.windows import Window

REFITS = 6
"""Fits to resampled windows, for methods without a closed form."""

RANK = 64
"""Directions of the trunk's output that are kept; what the others do enters by its mean."""

_OUTPUTS = 512
"""Outputs that the refits are made for: the shape of the uncertainty is shared, its size is each output's own."""

_LARGEST = 0.9
"""Share of the left-out variance that the weights' uncertainty can have: a few refits can overshoot."""

NOISE = "noise (residual variance in left-out calibration data)"


@dataclass(frozen=True)
class Uncertainty:
    """The variance of BOLD about the prediction at trunk output x: ``noise² · (1 + floor + Σ spectrum · along²)``.

    Attributes
    ----------
    noise : Tensor of shape (n_outputs,)
        Standard deviation; NaN where an output is undefined.
    centre : Tensor of shape (readout_in,)
    directions : Tensor of shape (readout_in, n_directions)
        ``along`` is ``(x − centre) · directions``; none where the weights' uncertainty is not known.
    spectra, floor : Tensor of shape (n_groups, n_directions) and (n_groups,)
    group : Tensor of shape (n_outputs,)
        Whose spectrum each output has.
    covers : str
        What is in it, in words.
    """

    noise: Float[Tensor, " output"]
    centre: Float[Tensor, " readout"]
    directions: Float[Tensor, "readout direction"]
    spectra: Float[Tensor, "group direction"]
    floor: Float[Tensor, " group"]
    group: Int[Tensor, " output"]
    covers: str

    def deviation(self, values: Float[Tensor, "time readout"]) -> Float[Tensor, "time output"]:
        """Standard deviation of BOLD about the prediction, for the trunk's output."""
        along = ((values - self.centre) @ self.directions).square()
        return self.noise * (1 + self.floor + along @ self.spectra.T)[:, self.group].sqrt()


@dataclass(frozen=True)
class Shape:
    """The weights' uncertainty in units of each output's noise; as in `Uncertainty`."""

    centre: Tensor
    directions: Tensor
    spectra: Tensor
    floor: Tensor
    group: Tensor


def uncertainty(base: Base, windows: Sequence[Window], made: Made, held: LeftOut) -> Uncertainty:
    """Uncertainty of an adapter's predictions.

    Left-out errors hold the noise and the uncertainty of the fits that left them out: the latter is taken out again, so
    that it is not counted twice, and the uncertainty of the fit to all data, which depends on x, is added.

    Parameters
    ----------
    base : Base
    windows : sequence of Window
        The calibration windows.
    made : Made
    held : LeftOut
        Of these windows.

    Notes
    -----
    Ridge: ``x'(G + λ)⁻¹ G (G + λ)⁻¹ x σ²`` for independent noise. Other readouts: the variance over `REFITS` fits to
    resampled windows. Where the trunk was trained, only what the left-out errors hold.
    """
    windows = [window for window in windows if window.mask.any()]
    left_out = torch.from_numpy(np.square(held.measured - held.predicted).mean(0))
    if (known := held.closed_form) is not None:
        noise = (left_out / (1 + known.share)).sqrt()
        return _told(noise, _ridge_shape(known), f"{NOISE}, and the uncertainty of the readout's weights (closed form)")
    if made.adapter.changes_trunk or not made.adapter.tensors:
        reason = "trunk and readout were" if made.adapter.changes_trunk else "nothing was"
        shape = _no_shape(base, len(left_out))
        return _told(left_out.sqrt(), shape, f"{NOISE} only: {reason} trained, and no refit was made")
    found, part = _refitted_shape(base, windows, made, left_out)
    covers = f"{NOISE}, and the uncertainty of the readout's weights ({REFITS} fits to resampled windows, of one shape)"
    return _told((left_out * (1 - part)).sqrt(), found, covers)


def _told(noise: Tensor, shape: Shape, covers: str) -> Uncertainty:
    parts = [part.detach().cpu() for part in (shape.centre, shape.directions, shape.spectra, shape.floor)]
    return Uncertainty(noise, *parts, shape.group.cpu(), covers)


def _no_shape(base: Base, n_outputs: int) -> Shape:
    n_inputs = base.tribe.config.readout_in
    nothing = torch.zeros(n_inputs, 0), torch.zeros(1, 0), torch.zeros(1)
    return Shape(torch.zeros(n_inputs), *nothing, torch.zeros(n_outputs, dtype=torch.int64))


def _ridge_shape(known: ClosedForm) -> Shape:
    axes = known.axes
    groups, group = known.penalties.unique(return_inverse=True)
    shrunk = torch.stack([axes.shrinkage(penalty) for penalty in groups.tolist()])
    means = shrunk.square() / axes.n_samples  # over calibration samples, along each axis
    kept = means.amax(0).argsort(descending=True)[:RANK]
    rest = means.sum(1) - means[:, kept].sum(1)
    directions = axes.right[:, kept] / axes.spread[:, None]
    spectra = (shrunk / axes.strength)[:, kept].square()
    return Shape(axes.mean, directions, spectra, rest + 1 / axes.n_samples, group)


def _refitted_shape(base: Base, windows: Sequence[Window], made: Made, left_out: Tensor) -> tuple[Shape, float]:
    """The shape, and the share of the left-out variance that it has on average over calibration samples."""
    outputs = drawn((left_out > 0).nonzero()[:, 0], _OUTPUTS, made.seed)
    narrow, few = _narrow(base, windows[0].bold.shape[1], outputs), [_of(window, outputs) for window in windows]
    values = torch.cat([part.values for part in base.latents(windows)])
    mean = values.mean(0)
    weights, levels = _refits(narrow, few, made, mean)
    scale = left_out[outputs].sqrt().to(mean)
    factor = ((weights - weights.mean(0)) / scale).permute(1, 0, 2).flatten(1)
    factor = factor / np.sqrt((REFITS - 1) * len(outputs))
    level = float((((levels - levels.mean(0)) / scale).square().sum(0) / (REFITS - 1)).mean())
    directions, rest = _leading(factor, values - mean)
    along = ((values - mean) @ directions).square().sum(1).mean()
    part = min(_LARGEST, float(along) + rest + level)
    unit = 1 / (1 - part)  # from left-out variance to that of noise
    spectra, floor = mean.new_full((1, directions.shape[1]), unit), mean.new_full((1,), (rest + level) * unit)
    return Shape(mean, directions, spectra, floor, torch.zeros(len(left_out), dtype=torch.int64)), part


def _refits(base: Base, windows: Sequence[Window], made: Made, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (refit, readout_in, output), and the prediction (refit, output) at the mean of the trunk's output."""
    rng = np.random.default_rng(made.seed)
    rows = []
    for refit in range(REFITS):
        drawn = [windows[place] for place in rng.integers(len(windows), size=len(windows))]
        adapter = fit_method(made.method, base, drawn, fitting(made, drawn), made.seed + refit)
        rows.append(personal_row(base.tribe, adapter.tensors))
    weights = torch.stack([row.to(mean) for row, _ in rows])
    return weights, torch.einsum("i,bio->bo", mean, weights) + torch.stack([bias.to(mean) for _, bias in rows])


def _leading(factor: Float[Tensor, "readout column"], values: Tensor) -> tuple[Tensor, float]:
    """Directions that hold most of ``|values · factor|²``, and what the others hold on average."""
    power, vectors = torch.linalg.eigh((factor @ factor.T).cpu().double())
    root = vectors * power.clamp(min=0).sqrt()
    cover = (values.T @ values).cpu().double() / len(values)
    held, turn = torch.linalg.eigh(root.T @ cover @ root)
    directions = (root @ turn[:, -RANK:]).to(values)
    return directions, float(held[:-RANK].clamp(min=0).sum())


def _of(window: Window, outputs: Tensor) -> Window:
    return dataclasses.replace(window, bold=np.ascontiguousarray(window.bold[:, outputs.numpy()]))


def _narrow(base: Base, n_outputs: int, outputs: Tensor) -> Base:
    """The same base with fewer outputs, each with its own start; what its trunk gave is shared."""
    weights, bias = starting_row(base.tribe, n_outputs)
    tribe = with_rows(base.tribe, weights[None][..., outputs], bias[None, outputs], unseen_row=True)
    return dataclasses.replace(base, tribe=tribe, space=None)

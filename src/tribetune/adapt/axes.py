"""Principal axes of the trunk's output over the calibration samples: what closed-form readouts are solved in."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_SMALLEST = 1e-6
"""Share of the largest eigenvalue below which one is rounding of float32."""


@dataclass(frozen=True)
class Axes:
    """A thin singular value decomposition of standardised data: ``(x − mean) / spread = left · strength · rightᵀ``.

    Attributes
    ----------
    mean, spread : Tensor of shape (n_inputs,)
        A spread of 1 where an input does not vary.
    left : Tensor of shape (n_samples, n_axes)
    strength : Tensor of shape (n_axes,)
        Singular values, largest last.
    right : Tensor of shape (n_inputs, n_axes)
    """

    mean: Float[Tensor, " input"]
    spread: Float[Tensor, " input"]
    left: Float[Tensor, "time axis"]
    strength: Float[Tensor, " axis"]
    right: Float[Tensor, "input axis"]

    @property
    def n_samples(self) -> int:
        """Samples that the axes are of."""
        return len(self.left)

    def shrinkage(self, penalty: float) -> Float[Tensor, " axis"]:
        """How much of the data along each axis a ridge of this penalty per sample keeps."""
        if math.isinf(penalty):
            return torch.zeros_like(self.strength)
        power = self.strength.square()
        return power / (power + penalty * self.n_samples)


def standardised(values: Float[Tensor, "time input"]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, spread (1 where an input does not vary) and standardised values."""
    mean, spread = values.mean(0), values.std(0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    return mean, spread, (values - mean) / spread


def principal_axes(values: Float[Tensor, "time input"]) -> Axes:
    """Principal axes by the eigenvectors of the smaller of the two Gram matrices."""
    mean, spread, standard = standardised(values)
    wide = len(standard) < standard.shape[1]
    gram = standard @ standard.T if wide else standard.T @ standard
    power, vectors = torch.linalg.eigh(gram.cpu())  # MPS has no eigh
    kept = power > _SMALLEST * power[-1]
    strength, vectors = power[kept].sqrt().to(values.device), vectors[:, kept].to(values.device)
    if wide:
        return Axes(mean, spread, vectors, strength, standard.T @ vectors / strength)
    return Axes(mean, spread, standard @ vectors / strength, strength, vectors)

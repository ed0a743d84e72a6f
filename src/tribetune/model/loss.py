"""The training loss: mean squared error over the samples that were measured."""

from jaxtyping import Bool, Float
from torch import Tensor


def masked_mse(
    predicted: Float[Tensor, "batch sample output"],
    measured: Float[Tensor, "batch sample output"],
    mask: Bool[Tensor, "batch sample"],
) -> Float[Tensor, ""]:
    """Mean squared error over valid samples and defined outputs.

    Parameters
    ----------
    predicted, measured : Tensor of shape (batch, n_trs, n_outputs)
        BOLD; an output that is NaN in ``measured`` (medial wall) is undefined and does not count.
    mask : Tensor of shape (batch, n_trs)
        True where a sample is valid.

    Returns
    -------
    Tensor of shape ()
        Zero, with zero gradients, when nothing is valid: a mean of nothing would be NaN and end training (spec h.4).
    """
    predicted, measured = predicted[mask].float(), measured[mask].float()
    defined = ~measured.isnan()
    error = predicted - measured.where(defined, predicted.detach())
    return error.square().sum() / defined.sum().clamp(min=1)

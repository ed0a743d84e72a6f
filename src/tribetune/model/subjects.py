"""The readout: one linear map from the trunk to BOLD per subject, and the unseen subject's."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tribetune.errors import CheckpointError


class SubjectBlock(nn.Module):
    """One readout row per subject (spec a.10): ``x @ weights[row] + bias[row]``.

    Parameters
    ----------
    rows : int
        Readout rows, the unseen row included.
    n_inputs, n_outputs : int
        Channels read, and columns of BOLD predicted.
    """

    def __init__(self, rows: int, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        scale = n_inputs**-0.5
        self.weights = nn.Parameter(torch.randn(rows, n_inputs, n_outputs) * scale)
        self.bias = nn.Parameter(torch.randn(rows, n_outputs) * scale)

    @property
    def n_rows(self) -> int:
        """Readout rows, the unseen row included."""
        return len(self.weights)

    def forward(self, x: Float[Tensor, "batch time channel"], rows: list[int]) -> Float[Tensor, "batch time output"]:
        """Read out every sample by its row; the weights are never copied.

        Parameters
        ----------
        x : Tensor of shape (batch, n_trs, n_inputs)
            Pooled latents.
        rows : list of int
            One row per sample.

        Returns
        -------
        Tensor of shape (batch, n_trs, n_outputs)
            Predicted BOLD.

        Raises
        ------
        CheckpointError
            If a row does not exist.
        """
        self._check(rows)
        # unbind: its backward stacks one gradient, where indexing would add a full-size one for every row
        weights, biases = self.weights.unbind(), self.bias.unbind()
        groups = {row: [k for k, own in enumerate(rows) if own == row] for row in dict.fromkeys(rows)}
        if len(groups) == 1:
            return _affine(x, weights[rows[0]], biases[rows[0]])
        read = torch.cat([_affine(x[own], weights[row], biases[row]) for row, own in groups.items()])
        order = torch.tensor([k for own in groups.values() for k in own])
        return read[order.argsort().to(read.device)]

    def _check(self, rows: list[int]) -> None:
        wrong = sorted({row for row in rows if not 0 <= row < self.n_rows})
        if wrong:
            raise CheckpointError(
                f"readout row {wrong[0]} was asked for, the checkpoint has rows 0 to {self.n_rows - 1}",
                hint="pass row indices of this checkpoint, or subjects=None for the unseen row",
            )


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x @ weight + bias`` in one pass over the outputs."""
    return nn.functional.linear(x, weight.T, bias)

"""Readout rows over a frozen trunk: where a personal one starts, and models that have others than the checkpoint's."""

import copy
import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tribetune.errors import AdaptationError
from tribetune.model.subjects import SubjectBlock
from tribetune.model.tribe import Tribe
from tribetune.spaces import Space, places_within


def share(tribe: Tribe) -> Tribe:
    """A copy of the modules over the same, frozen weights."""
    tensors = [*tribe.parameters(), *tribe.buffers()]
    frozen = {
        id(t): nn.Parameter(t.detach(), requires_grad=False) if isinstance(t, nn.Parameter) else t for t in tensors
    }
    return copy.deepcopy(tribe, frozen).eval()


def with_rows(
    tribe: Tribe, weights: Float[Tensor, "row readout output"], bias: Float[Tensor, "row output"], *, unseen_row: bool
) -> Tribe:
    """A model over the same trunk with other readout rows, none of them named; whether the last is the unseen one."""
    n_rows, _, n_outputs = weights.shape
    model = share(tribe)
    dropout = tribe.config.subject_dropout if unseen_row else 0.0  # of a row that is gone
    own = {"n_outputs": n_outputs, "rows": n_rows, "unseen_row": unseen_row, "subject_dropout": dropout}
    model.config = dataclasses.replace(tribe.config, **own, subjects=[])
    with torch.device("meta"):
        model.subjects = SubjectBlock(*weights.shape)
    model.subjects.weights = nn.Parameter(weights.detach(), requires_grad=False)
    model.subjects.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return model


def with_row(tribe: Tribe, weights: Float[Tensor, "readout output"], bias: Float[Tensor, " output"]) -> Tribe:
    """A model with a personal readout as row 0 and, where it predicts the same outputs, the unseen row after it.

    Raises
    ------
    AdaptationError
        If the readout does not start where the trunk ends.
    """
    block = tribe.subjects
    if weights.shape[0] != block.weights.shape[1]:
        raise AdaptationError(
            f"the adapter's readout takes {weights.shape[0]} inputs, the trunk gives {block.weights.shape[1]}",
            hint="use the checkpoint that the adapter was trained on",
        )
    keeps_unseen = has_unseen(tribe, weights.shape[1])
    unseen = [(block.weights[-1].detach(), block.bias[-1].detach())] if keeps_unseen else []
    rows = [torch.stack(parts) for parts in zip((weights, bias), *unseen, strict=True)]
    return with_rows(tribe, *rows, unseen_row=keeps_unseen)


def has_unseen(tribe: Tribe, n_outputs: int) -> bool:
    """Whether the unseen row predicts so many outputs, every one of them."""
    config = tribe.config
    return config.unseen_row and config.n_outputs == n_outputs and bool(tribe.subjects.bias[-1].isfinite().all())


def starting_row(tribe: Tribe, n_outputs: int) -> tuple[Tensor, Tensor]:
    """Where a personal readout starts: the unseen row, and zeros for outputs that it does not predict."""
    block = tribe.subjects
    if tribe.config.unseen_row and tribe.config.n_outputs == n_outputs:
        return block.weights[-1].detach(), block.bias[-1].detach().nan_to_num()
    return block.weights.new_zeros(block.weights.shape[1], n_outputs), block.bias.new_zeros(n_outputs)


def in_space(tribe: Tribe, space: Space) -> Tribe:
    """A model whose unseen row is for the outputs of another space, as far as its own space has them.

    Cortex of a row for cortex and subcortex, say, or a row for cortex among outputs of both. What the row does not
    predict is undefined: its bias is NaN, and readouts start from zero there.

    Returns
    -------
    Tribe
        The same where it is of this space already, or has no unseen row for any of the outputs.
    """
    config, block = tribe.config, tribe.subjects
    if not config.unseen_row or (config.space, config.n_outputs) == (space.name, space.n_outputs):
        return tribe
    places = torch.from_numpy(places_within(space, Space(config.space, config.n_outputs))).to(block.bias.device)
    unknown = places < 0
    if unknown.all():
        return tribe
    weights, bias = block.weights[-1].detach()[:, places], block.bias[-1].detach()[places]
    weights.masked_fill_(unknown, 0)
    bias.masked_fill_(unknown, torch.nan)
    model = with_rows(tribe, weights[None], bias[None], unseen_row=True)
    model.config = dataclasses.replace(model.config, space=space.name)
    return model

"""New readouts from old ones: the two initialisations of the reference's fine-tuning (spec d.3, d.4)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tribetune.errors import AdaptationError
from tribetune.model.config import TribeConfig
from tribetune.model.tribe import Tribe


@torch.no_grad()
def with_mean_rows(tribe: Tribe, subjects: Sequence[str]) -> Tribe:
    """A Tribe for new subjects whose rows all start as the mean of the old ones, the unseen row included (spec d.3).

    Parameters
    ----------
    tribe : Tribe
        Left as it is.
    subjects : sequence of str
        Names of the new subjects; an unseen row is kept where there was one.

    Returns
    -------
    Tribe
        With its own copy of every weight.

    Raises
    ------
    AdaptationError
        If there would be no row at all.
    """
    rows = len(subjects) + tribe.config.unseen_row
    if not rows:
        raise AdaptationError("no subjects and no unseen row: nothing to read out", hint="name at least one subject")
    config = replace(tribe.config, rows=rows, subjects=list(subjects))
    weights, bias = _mean_row(tribe)
    return _rebuilt(
        tribe, config, {"subjects.weights": _repeated(weights, rows), "subjects.bias": _repeated(bias, rows)}
    )


@torch.no_grad()
def with_low_rank(tribe: Tribe, rank: int, subjects: Sequence[str]) -> Tribe:
    """``with_mean_rows``, with low-rank layer and readout refactorised to another rank by SVD (spec d.4).

    The product of low-rank layer and mean row is kept as well as ``rank`` allows; every row starts equal.

    Parameters
    ----------
    tribe : Tribe
        Left as it is; with or without a low-rank layer.
    rank : int
        Width of the new low-rank layer.
    subjects : sequence of str
        Names of the new subjects.

    Returns
    -------
    Tribe
        With its own copy of every weight.

    Raises
    ------
    AdaptationError
        If the rank is not between 1 and what the product can have.
    """
    tribe = with_mean_rows(tribe, subjects)
    product = _readout_of_trunk(tribe)
    if not 1 <= rank <= min(product.shape):
        raise AdaptationError(
            f"rank {rank} of a readout of shape {tuple(product.shape)}", hint=f"choose 1 to {min(product.shape)}"
        )
    left, strength, right = torch.linalg.svd(product, full_matrices=False)
    row = strength[:rank, None] * right[:rank]
    config = replace(tribe.config, low_rank=rank)
    changed = {"low_rank.weight": left[:, :rank].T.contiguous(), "subjects.weights": _repeated(row, config.rows)}
    return _rebuilt(tribe, config, changed)


def train_only(tribe: Tribe, *parts: str) -> None:
    """Freeze everything but the named parts (``subjects``, ``low_rank``, ``trunk``, ``projectors`` …), in place.

    Raises
    ------
    AdaptationError
        If a part has no weights.
    """
    named = dict(tribe.named_parameters())
    for part in parts:
        if not any(_is_in(key, part) for key in named):
            raise AdaptationError(
                f"no weights in {part!r}", hint=f"parts: {', '.join(dict.fromkeys(key.split('.')[0] for key in named))}"
            )
    for key, weight in named.items():
        weight.requires_grad_(any(_is_in(key, part) for part in parts))


def _is_in(key: str, part: str) -> bool:
    return key == part or key.startswith(part + ".")


def _mean_row(tribe: Tribe) -> tuple[Float[Tensor, "channel output"], Float[Tensor, " output"]]:
    return tribe.subjects.weights.detach().mean(0), tribe.subjects.bias.detach().mean(0)


def _readout_of_trunk(tribe: Tribe) -> Float[Tensor, "hidden output"]:
    """The first row as a map from the trunk itself."""
    row = tribe.subjects.weights.detach()[0]
    return tribe.low_rank.weight.detach().T @ row if isinstance(tribe.low_rank, nn.Linear) else row


def _repeated(row: Tensor, rows: int) -> Tensor:
    return row[None].repeat(rows, *[1] * row.ndim)


def _rebuilt(tribe: Tribe, config: TribeConfig, changed: dict[str, Tensor]) -> Tribe:
    """A new Tribe of the same mode with some weights changed and all others copied."""
    with torch.device("meta"):
        built = Tribe(config)
    kept = {key: weight.detach().clone() for key, weight in tribe.state_dict().items() if key not in changed}
    built.load_state_dict(kept | changed, strict=True, assign=True)
    return built.train(tribe.training)

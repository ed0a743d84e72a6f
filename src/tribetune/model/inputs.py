"""Which features fit a model: every modality's shape against the checkpoint's, before any computing."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from tribetune.errors import FeatureError
from tribetune.model.config import TribeConfig


def usable_features(features: Mapping[str, Tensor], config: TribeConfig) -> dict[str, Float[Tensor, "_ _ _ _"]]:
    """The features that the model has a projector for, all with a layer axis.

    Parameters
    ----------
    features : mapping of str to Tensor of shape (batch, layer, dim, n_steps) or (batch, dim, n_steps)
        A modality that is left out is absent; zeros are silence.
    config : TribeConfig
        Says which modalities there are, and their layers and dims.

    Returns
    -------
    dict of str to Tensor of shape (batch, layer, dim, n_steps)
        In the order of ``config.modalities``.

    Raises
    ------
    FeatureError
        If no modality is usable, one is unknown or has another shape, or the window is too long.
    """
    unknown = [name for name in features if name not in config.modalities]
    if unknown:
        raise FeatureError(
            f"modality {unknown[0]!r} is not one of the checkpoint's: {', '.join(config.modalities)}",
            hint="leave it out, or open a checkpoint that was trained with it",
        )
    sizes = {name: size for name, size in config.modalities.items() if size is not None}
    usable = {name: _with_layers(name, features[name], config) for name in sizes if name in features}
    if not usable:
        raise FeatureError(
            f"no usable modality: got {', '.join(features) or 'none'}, the checkpoint uses {', '.join(sizes)}",
            hint="extract at least one of them from the stimulus",
        )
    _check_same_window(usable, longest_window(config))
    return usable


def longest_window(config: TribeConfig) -> int:
    """Most feature steps that the model takes; smoothing by an even kernel makes one more of them (spec h.5)."""
    kernel = config.temporal_smoothing or 1
    return config.max_steps - (kernel % 2 == 0)


def _with_layers(name: str, x: Tensor, config: TribeConfig) -> Tensor:
    size = config.modalities[name]
    if x.ndim == 3:
        x = x.unsqueeze(1)
    layers_agree = size is not None and (
        x.shape[1] == size[0] or (config.layer_aggregation == "mean" and x.shape[1] == 1)
    )
    if x.ndim != 4 or size is None or x.shape[2] != size[1] or not layers_agree:
        raise FeatureError(
            f"{name}: got features of shape {tuple(x.shape)}, expected (batch, layer, dim, time), {size} in the middle",
            hint="extract the features with the encoder and layers named in the checkpoint's config",
        )
    return x


def _check_same_window(usable: Mapping[str, Tensor], max_steps: int) -> None:
    windows = {name: (x.shape[0], x.shape[3]) for name, x in usable.items()}
    if len(set(windows.values())) > 1:
        raise FeatureError(
            f"modalities differ in (batch, time): {windows}", hint="cut all modalities of a batch to the same windows"
        )
    n_steps = next(iter(windows.values()))[1]
    if not 1 <= n_steps <= max_steps:
        raise FeatureError(
            f"a window of {n_steps} steps: the checkpoint takes 1 to {max_steps}",
            hint="cut the stimulus into shorter windows",
        )

"""Every weight before the readout: made a model's own to be trained, taken out, and put back."""

from collections.abc import Mapping

from torch import Tensor, nn

from tribetune.adapt.adapter import CORE
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe

_READOUT = "subjects."


def own_core(model: Tribe) -> None:
    """Give a model, in place, copies of its weights before the readout, to be trained."""
    for name, weight in core_weights(model).items():
        _put(model, name, nn.Parameter(weight.detach().clone(), requires_grad=True))


def core_tensors(model: Tribe) -> dict[str, Tensor]:
    """The weights before the readout under the names that an adapter gives them."""
    return {CORE + name: weight.detach().clone() for name, weight in core_weights(model).items()}


def put_core(model: Tribe, tensors: Mapping[str, Tensor]) -> None:
    """Put an adapter's weights into a model, in place.

    Raises
    ------
    AdaptationError
        If they are not all of the model's, or of other sizes.
    """
    wanted = {CORE + name: tuple(weight.shape) for name, weight in core_weights(model).items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if given != wanted:
        odd = sorted(name for name in {*given, *wanted} if given.get(name) != wanted.get(name))[0]
        raise AdaptationError(
            f"the adapter's {odd} is {given.get(odd, 'missing')}, the checkpoint's is {wanted.get(odd, 'missing')}",
            hint="use the checkpoint that the adapter was trained on",
        )
    device = model.subjects.bias.device
    for name, tensor in tensors.items():
        _put(model, name.removeprefix(CORE), nn.Parameter(tensor.to(device), requires_grad=False))


def core_weights(model: Tribe) -> dict[str, nn.Parameter]:
    """Every weight before the readout by its name in the model."""
    return {name: weight for name, weight in model.named_parameters() if not name.startswith(_READOUT)}


def _put(model: Tribe, name: str, weight: nn.Parameter) -> None:
    *place, last = name.split(".")
    module = model.get_submodule(".".join(place))
    setattr(module, last, weight)

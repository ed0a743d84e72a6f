"""What changed for one subject, and the model that has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tribetune.adapt.rows import in_space, share, starting_row, with_row
from tribetune.errors import AdaptationError
from tribetune.model.tribe import Tribe
from tribetune.spaces import Space

WEIGHTS, BIAS, GAIN = "readout.weights", "readout.bias", "readout.gain"
LEFT, RIGHT = "readout.left", "readout.right"
"""Names of what makes the personal readout row among an adapter's tensors."""

FORMS = (frozenset({WEIGHTS, BIAS}), frozenset({GAIN, BIAS}), frozenset({LEFT, RIGHT, BIAS}))
"""What a personal row may be made of: itself; a gain per output on the unseen row; or a low-rank difference from it."""

LORA_MATRICES = (".lora_A.weight", ".lora_B.weight")
LORA_MAGNITUDE = ".lora_magnitude_vector"
"""How names of all other tensors end, as peft gives them; magnitudes are DoRA's alone."""

CORE = "core."
"""How names of weights before the readout begin, where all of them were trained."""

LORA_KEYS = ("r", "lora_alpha", "target_modules", "lora_dropout", "bias")
LORA_VARIANTS = ("use_rslora", "use_dora")
"""Settings of peft that an adapter must and may have."""


@dataclass(frozen=True)
class Adapter:
    """The trained difference for one subject.

    Attributes
    ----------
    method : str
        The method that made it.
    tensors : mapping of str to Tensor
        The personal readout in one of `FORMS`: ``readout.weights`` (readout_in, n_outputs), or ``readout.gain``
        (n_outputs,), or ``readout.left`` (readout_in, rank) and ``readout.right`` (rank, n_outputs); with each its
        ``readout.bias`` (n_outputs,). LoRA matrices under the names that peft gives them, or every weight before the
        readout under its own with ``core.`` before it. Empty for zero-shot.
    lora : mapping
        peft's configuration; empty where there is no LoRA.
    chosen : mapping
        What was chosen on the calibration data, and the scores that decided.
    space : Space, optional
        Of its outputs, where it began from what the checkpoint's unseen row for another space has of them.
    """

    method: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    lora: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, Any] = field(default_factory=dict)
    space: Space | None = None

    @property
    def n_weights(self) -> int:
        """Trained weights."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    @property
    def changes_trunk(self) -> bool:
        """Whether more than the readout was trained: the frozen trunk's output is then not this adapter's."""
        return bool(self.tensors.keys() - readout_names())

    def began_on(self, tribe: Tribe) -> Tribe:
        """The checkpoint's model with the unseen row that this adapter began from.

        Raises
        ------
        AdaptationError
            If the row has not all outputs of a zero-shot adapter, or the adapter's outputs are not those of its space.
        """
        if self.space is None:
            return tribe
        most = len(self.tensors[BIAS]) if self.tensors else tribe.config.n_outputs
        if self.space.n_outputs > most:  # before room is made for them
            raise AdaptationError(
                f"the adapter tells of {self.space.n_outputs:,} outputs, and holds {most:,}", hint="fetch it again"
            )
        return in_space(tribe, self.space)

    def apply(self, tribe: Tribe) -> Tribe:
        """A model of this subject; row 0 is personal, the unseen row stays the last.

        The given model is not changed, and its weights are shared, not copied.

        Raises
        ------
        AdaptationError
            If the adapter's sizes are not the model's.
        """
        tribe = self.began_on(tribe)
        if not self.tensors:
            return share(tribe)
        model = with_row(tribe, *personal_row(tribe, self.tensors))
        if self.changes_trunk:
            from tribetune.adapt.core import put_core
            from tribetune.adapt.lora_matrices import inject

            others = {name: tensor for name, tensor in self.tensors.items() if name not in readout_names()}
            if self.lora:
                inject(model, self.lora, others)
            else:
                put_core(model, others)
        return model


def readout_names() -> frozenset[str]:
    """Every name that a part of a personal row can have."""
    return frozenset().union(*FORMS)


def personal_row(tribe: Tribe, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The personal row, weights (readout_in, n_outputs) and bias (n_outputs,), on the device of the model.

    Raises
    ------
    AdaptationError
        If the tensors are of no known form, or their sizes are not the model's.
    """
    device = tribe.subjects.bias.device
    parts = {name: tensor.to(device) for name, tensor in tensors.items() if name in readout_names()}
    if parts.keys() not in FORMS:
        raise AdaptationError(
            f"the adapter's readout is made of {', '.join(sorted(parts)) or 'nothing'}, which is no known form",
            hint="update tribetune, or fetch the adapter again",
        )
    if WEIGHTS in parts:
        return parts[WEIGHTS], parts[BIAS]
    weights, _ = starting_row(tribe, len(parts[BIAS]))
    try:
        personal = weights * parts[GAIN] if GAIN in parts else torch.addmm(weights, parts[LEFT], parts[RIGHT])
    except RuntimeError as error:
        sizes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in sorted(parts.items()))
        raise AdaptationError(
            f"the adapter's readout ({sizes}) does not fit the trunk's {len(weights)} outputs",
            hint="use the checkpoint that the adapter was trained on",
        ) from error
    return personal, parts[BIAS]

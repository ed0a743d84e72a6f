"""A language model that remembers what it has read, and averages of its states that are taken as they arise."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from jaxtyping import Float

from tribetune.features.layers import Groups, wanted_states
from tribetune.features.precision import half_precision

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

Spans = Sequence[tuple[int, int]]
"""Stretches of tokens, each from its first to its last (excluded)."""

_SAME_STATES = {"float32": 1e-3, "half": 5e-2}
"""Differences, relative to a state's length, that come from rounding; tokens that are seen or not make larger ones."""


class Memory:
    """A causal model and the keys and values of all that it has read.

    Reading on costs the new tokens only, and no hidden state is kept: hooks average each wanted one over spans.

    Parameters
    ----------
    model : PreTrainedModel
        One for which `remembering` gives a memory.
    groups : tuple of tuple of int
        Per feature layer, the hidden states it averages.
    """

    def __init__(self, model: "PreTrainedModel", groups: Groups) -> None:
        self.model, self.groups = model, groups
        self.at: _Places | None = None
        self.means: dict[int, torch.Tensor] = {}
        self.blocks = _blocks(model)
        for state in set(wanted_states(groups)) - {len(self.blocks)}:
            self.blocks[state].register_forward_pre_hook(self._before(state))
        self.forget()

    @property
    def n_read(self) -> int:
        """Tokens in memory."""
        return self.cache.get_seq_length()

    def forget(self) -> None:
        """Start anew."""
        from transformers import DynamicCache

        self.cache = DynamicCache()

    def read(self, ids: Sequence[int], spans: Spans = ()) -> Float[np.ndarray, "span layer dim"]:
        """Read on, and average over spans of what is read.

        Parameters
        ----------
        ids : sequence of int
            The next tokens; none is allowed.
        spans : sequence of (int, int)
            Counted from the first of these tokens.

        Returns
        -------
        array of shape (n_spans, n_layers, dim)
            float32.
        """
        return self._run(ids, spans, self.cache)

    def aside(self, n_kept: int, ids: Sequence[int], n_own: int) -> Float[np.ndarray, "layer dim"]:
        """Average over the last tokens of another text, of which the first ``n_kept`` are in memory; it stays as it is.

        Parameters
        ----------
        n_kept : int
            Tokens of the memory that the other text begins with.
        ids : sequence of int
            Its tokens after those, at least ``n_own``.
        n_own : int
            How many of the last ones are averaged.
        """
        from transformers import DynamicCache

        cache = DynamicCache()
        layers: list[Any] = self.cache.layers if n_kept else []
        for place, layer in enumerate(layers):
            cache.update(layer.keys[:, :, :n_kept], layer.values[:, :, :n_kept], place)
        return self._run(ids, [(len(ids) - n_own, len(ids))], cache)[0]

    def _run(self, ids: Sequence[int], spans: Spans, cache: Any) -> Float[np.ndarray, "span layer dim"]:
        import torch

        nothing = np.zeros((0, len(self.groups), self.model.config.hidden_size), np.float32)
        if not ids:
            return nothing
        device = self.model.device
        with torch.inference_mode(), half_precision(device):
            at = self.at = _Places(spans, device) if spans else None
            tokens = torch.tensor([ids], device=device)
            output = self.model(input_ids=tokens, past_key_values=cache, use_cache=True)
            means, self.means, self.at = self.means, {}, None
            if at is None:
                return nothing
            last = at.means(output.last_hidden_state[0])  # after the final norm
            return _grouped({**means, len(self.blocks): last}, self.groups)

    def _before(self, state: int) -> "Callable[[nn.Module, Any], None]":
        own = ref(self)  # model and self would hold each other, and keep the memory

        def keep(_module: "nn.Module", inputs: Any) -> None:
            memory = own()  # gone where the model turned out to have no use for one
            if memory is not None and memory.at is not None:
                memory.means[state] = memory.at.means(inputs[0][0])

        return keep


def remembering(model: "PreTrainedModel", groups: Groups, ids: Sequence[int]) -> Memory | None:
    """Give a model a memory, if reading in two parts gives the states that reading at once does.

    Parameters
    ----------
    model : PreTrainedModel
    groups : tuple of tuple of int
    ids : sequence of int
        Some tokens to try it with, at least two.

    Returns
    -------
    Memory or None
        None for a model that looks ahead or keeps nothing.
    """
    if not len(_blocks(model)) or "past_key_values" not in signature(model.forward).parameters:
        return None
    memory, half = Memory(model, groups), len(ids) // 2
    each = [(place, place + 1) for place in range(len(ids))]
    parts = np.concatenate([memory.read(ids[:half], each[:half]), memory.read(ids[half:], each[: len(ids) - half])])
    whole = span_means(model, groups, ids, each)
    is_full = model.device.type == "cpu" and str(model.dtype) == "torch.float32"
    allowed = _SAME_STATES["float32" if is_full else "half"] * np.linalg.norm(whole, axis=-1)
    memory.forget()
    return memory if bool((np.linalg.norm(parts - whole, axis=-1) <= allowed).all()) else None


def span_means(
    model: "PreTrainedModel", groups: Groups, ids: Sequence[int], spans: Spans
) -> Float[np.ndarray, "span layer dim"]:
    """Read a text at once, by any model that gives its hidden states, and average over spans.

    Parameters
    ----------
    model : PreTrainedModel
    groups : tuple of tuple of int
        Per feature layer, the hidden states it averages.
    ids : sequence of int
        Tokens of the text.
    spans : sequence of (int, int)
        At least one.

    Returns
    -------
    array of shape (n_spans, n_layers, dim)
        float32.
    """
    import torch

    with torch.inference_mode(), half_precision(model.device):
        tokens = torch.tensor([ids], device=model.device)
        states = model(input_ids=tokens, output_hidden_states=True, use_cache=False).hidden_states
        at = _Places(spans, model.device)
        return _grouped({state: at.means(states[state][0]) for state in wanted_states(groups)}, groups)


class _Places:
    """Where the tokens of spans are."""

    def __init__(self, spans: Spans, device: "torch.device") -> None:
        import torch

        first, stop = torch.tensor(spans, device=device).T
        steps = torch.arange(int((stop - first).max()), device=device)
        self.length = (stop - first)[:, None]
        self.outside = (steps >= self.length)[..., None]
        self.tokens = first[:, None] + torch.minimum(steps, self.length - 1)

    def means(self, state: "Float[torch.Tensor, 'token dim']") -> "Float[torch.Tensor, 'span dim']":
        return state.float()[self.tokens].masked_fill(self.outside, 0).sum(1) / self.length


def _grouped(means: "Mapping[int, torch.Tensor]", groups: Groups) -> Float[np.ndarray, "span layer dim"]:
    import torch

    averages = [torch.stack([means[state] for state in group]).mean(0) for group in groups]
    return torch.stack(averages, dim=1).cpu().numpy()


def _blocks(model: "PreTrainedModel") -> Any:
    """The model's list of layers; an empty one where it is not found."""
    from torch import nn

    lists = [child for child in model.children() if isinstance(child, nn.ModuleList)]
    return next((found for found in lists if len(found) == model.config.num_hidden_layers), nn.ModuleList())

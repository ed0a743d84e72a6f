"""One course: what is trained of the trunk, and a personal readout, together, window by window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tribetune.adapt.core import own_core
from tribetune.adapt.descent import Descent, Mean, Schedule, Visit, scale_of, visits
from tribetune.adapt.latents import Latents, run_trunk
from tribetune.adapt.lora_matrices import inject
from tribetune.adapt.phases import epoch_phases, joined_runs
from tribetune.adapt.precision import Precision, halve_frozen
from tribetune.adapt.rows import share
from tribetune.model.tribe import Tribe
from tribetune.windows import AlignedRun, Window, cut_windows


@dataclass(frozen=True)
class Course:
    """How trunk and readout are trained together.

    Attributes
    ----------
    trunk_rate : float
        Adam's learning rate; full from the first step on, falling linearly.
    config : mapping
        For peft; empty where every weight before the readout is trained.
    readout : Schedule
        Of the readout; its epochs are the course's.
    precision : str
        Of the trunk.
    random_phase : bool
        Whether windows begin elsewhere in every epoch.
    modality_dropout : float
        Probability that a window loses a modality.
    """

    trunk_rate: float
    config: Mapping[str, Any]
    readout: Schedule
    precision: Precision = "float32"
    random_phase: bool = False
    modality_dropout: float = 0.0


class Example(NamedTuple):
    """A window to train on: how many valid samples it has, and how to get it with the BOLD of those."""

    n_samples: int
    read: Callable[[], tuple[Window, Float[Tensor, "time output"]]]


def train(
    tribe: Tribe,
    windows: Sequence[Window],
    latents: Sequence[Latents],
    course: Course,
    start: tuple[Tensor, Tensor],
) -> tuple[Tribe, Descent]:
    """Train: per window one Adam step on the trunk's weights, and the readout's steps on the same trunk output.

    The readout's scale is taken from the latents of the trunk before training, which moves them little.

    Parameters
    ----------
    tribe : Tribe
        Not changed.
    windows : sequence of Window
    latents : sequence of Latents
        Of these windows; their BOLD is trained on.
    course : Course
    start : tuple of Tensor
        Weights and bias of the readout before training.
    """
    plan = course.readout
    model = _model(tribe, course)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    fused = trained[0].device.type in ("cpu", "cuda")  # on a CPU five times as fast
    optimizer = torch.optim.Adam(trained, lr=course.trunk_rate, fused=fused)
    descent = Descent(*start, scale_of(latents, plan.block), plan.correlation)
    epochs = _epochs(windows, latents, course)
    mean = Mean([*(weight.data for weight in trained), descent.weights, descent.bias] if plan.average else [])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)  # of modality dropout
        for epoch, place, blocks in visits([[one.n_samples for one in epoch] for epoch in epochs], plan):
            optimizer.param_groups[0]["lr"] = course.trunk_rate * blocks[0][1] / plan.rate
            _visit(model, optimizer, epochs[epoch][place], blocks, descent, course.precision)
            mean.add()
    mean.put()
    return model.eval(), descent


def _model(tribe: Tribe, course: Course) -> Tribe:
    model = share(tribe)
    if course.config:
        inject(model, course.config, seed=course.readout.seed)
        if course.precision == "bfloat16" and not course.config.get("use_dora"):  # DoRA takes norms of the weights
            halve_frozen(model)
    else:
        own_core(model)
    model.config = replace(model.config, modality_dropout=course.modality_dropout, temporal_dropout=0.0)
    model.training = course.modality_dropout > 0  # of the Tribe alone: its trunk stays without dropout
    return model


def _epochs(windows: Sequence[Window], latents: Sequence[Latents], course: Course) -> list[list[Example]]:
    """Every epoch's windows."""
    if not course.random_phase:
        return [[_as_it_is(*pair) for pair in zip(windows, latents, strict=True)]] * course.readout.epochs
    rng, runs = np.random.default_rng(course.readout.seed), joined_runs(windows, latents)
    size_s = len(windows[0].mask)
    found = []
    for _ in range(course.readout.epochs):
        spans = [(run, span) for run in runs for span in epoch_phases(len(run.mask), size_s, rng)]
        counts = [int(run.mask[slice(*span)].sum()) for run, span in spans]
        found.append([_cut(run, span, n, size_s) for (run, span), n in zip(spans, counts, strict=True) if n])
    return found


def _as_it_is(window: Window, part: Latents) -> Example:
    return Example(len(part.bold), lambda: (window, part.bold))


def _cut(run: AlignedRun, span: tuple[int, int], n_samples: int, size_s: int) -> Example:
    def read() -> tuple[Window, Tensor]:
        window = cut_windows(run, size_s, size_s, span)[0]
        return window, torch.from_numpy(window.bold[window.mask])

    return Example(n_samples, read)


def _visit(
    model: Tribe,
    optimizer: torch.optim.Optimizer,
    example: Example,
    blocks: Sequence[Visit],
    descent: Descent,
    precision: Precision,
) -> None:
    """One Adam step on the loss through the readout as it stands, and the readout's steps."""
    window, bold = example.read()
    values = run_trunk(model, window, precision)
    values = values[torch.from_numpy(np.flatnonzero(window.mask)).to(values.device)]
    bold = bold.to(values.device)
    standard, error = descent.error(values.detach(), bold)
    optimizer.zero_grad(set_to_none=True)
    values.backward(descent.pull(descent.drive(error, bold)) * (2 / bold.numel()))
    optimizer.step()
    descent.steps(standard, error, blocks, bold)

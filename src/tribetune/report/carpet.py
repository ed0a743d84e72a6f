"""A carpet plot: every output of a run over time, its global signal, head motion and invalid volumes above, as PNG."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from tribetune.bold.clean import standardise
from tribetune.bold.quality import MOVED_MM
from tribetune.bold.run import Run
from tribetune.files import whole
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = 600
"""Rows of the carpet: about as many as the picture has pixels for."""

_TOP = 2.0
"""Deviations at which the grey scale ends."""

_MINUTES_FROM_S = 180.0
"""Longer runs have their time in minutes."""

_INK = "#1b3a6b"
_ALARM = "#bb2649"
_INVALID = "#f2d3d0"
"""Where the carpet has no valid volume: no grey, so it cannot be taken for a value."""


def carpet(run: Run, path: Path, *, displacement_mm: Float[np.ndarray, " time"] | None = None, title: str = "") -> None:
    """Draw a run; the file appears when it is whole.

    Parameters
    ----------
    run : Run
        As read or cleaned, in any space: every output is drawn without its line and in its own deviations. On
        fsaverage5 the left hemisphere is above; in a group, outputs that follow its mean most closely are on top.
    path : Path
        A PNG file; its folder is made.
    displacement_mm : array of shape (n_trs,) or None
        Framewise displacement, where confounds have it.
    title : str
        Above the picture; the run's label when empty.

    Raises
    ------
    BoldError
        If fewer than three volumes are valid.
    ValueError
        If no output varies.
    """
    values = standardise(run.values, run.mask, run.label)
    groups = _groups(run, values)
    if not sum(len(rows) for rows in groups.values()):
        raise ValueError(f"{run.label}: no output varies, so there is nothing to draw")
    figure = _figure(run, values, groups, displacement_mm, title or run.label)
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=160)


def _groups(run: Run, values: Float[np.ndarray, "time output"]) -> dict[str, Int[np.ndarray, " place"]]:
    """Defined outputs of each group, those nearest to the group's mean first."""
    defined = np.flatnonzero(~np.isnan(values[0]))
    if run.space != FSAVERAGE5.name or values.shape[1] != FSAVERAGE5.n_outputs:
        return {"outputs": _by_likeness(values, defined)}
    sides = {"left hemisphere": defined < N_HEMISPHERE, "right hemisphere": defined >= N_HEMISPHERE}
    return {name: _by_likeness(values, defined[mine]) for name, mine in sides.items()}


def _by_likeness(
    values: Float[np.ndarray, "time output"], outputs: Int[np.ndarray, " place"]
) -> Int[np.ndarray, " place"]:
    """Sorted by correlation with the mean of all: values are standardised, so a product with it will do."""
    if not len(outputs):
        return outputs
    mean = np.nan_to_num(values) @ (np.isin(np.arange(values.shape[1]), outputs) / np.float32(len(outputs)))
    return outputs[np.argsort(-(mean @ values[:, outputs]), kind="stable")]


def _rows(
    values: Float[np.ndarray, "time output"], outputs: Int[np.ndarray, " place"], n_rows: int
) -> Float[np.ndarray, "row time"]:
    """Evenly spaced outputs of the order: what is drawn is data, not an average that hides noise."""
    chosen = outputs[np.linspace(0, len(outputs) - 1, min(n_rows, len(outputs))).round().astype(int)]
    return values[:, chosen].T


def _figure(
    run: Run,
    values: Float[np.ndarray, "time output"],
    groups: dict[str, Int[np.ndarray, " place"]],
    displacement_mm: Float[np.ndarray, " time"] | None,
    title: str,
) -> "Figure":
    from matplotlib.figure import Figure

    strips = {"invalid": 0.16, "motion": 1.0, "signal": 1.0, "carpet": 5.5}
    if run.mask.all():
        del strips["invalid"]
    if displacement_mm is None:
        del strips["motion"]
    figure = Figure(figsize=(10, 1.2 + 0.72 * sum(strips.values())), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    grid = figure.subplots(len(strips), 1, sharex=True, height_ratios=list(strips.values()), squeeze=False)[:, 0]
    axes = dict(zip(strips, grid, strict=True))
    duration_s = len(values) * run.t_r
    unit, per_unit = ("minutes", 60.0) if duration_s > _MINUTES_FROM_S else ("seconds", 1.0)
    times = np.arange(len(values)) * run.t_r / per_unit
    if not run.mask.all():
        _draw_invalid(axes["invalid"], run.mask, times)
    if displacement_mm is not None:
        _draw_motion(axes["motion"], displacement_mm, times)
    defined = np.concatenate(list(groups.values()))
    signal = np.where(run.mask, values[:, defined].mean(1), np.nan)
    _draw_line(axes["signal"], signal, times, "global signal\n(deviations)")
    _draw_carpet(axes["carpet"], values, groups, run.mask, times)
    axes["carpet"].set_xlabel(
        f"time in {unit}, from the first volume; {len(values):,} volumes of {run.t_r:g} s", fontsize=9
    )
    return figure


def _plain(axes: "Axes", label: str) -> None:
    """Only the ink that says something."""
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylabel(label, fontsize=9, rotation="horizontal", ha="right", va="center")


def _draw_line(axes: "Axes", values: Float[np.ndarray, " time"], times: Float[np.ndarray, " time"], label: str) -> None:
    axes.plot(times, values, color=_INK, linewidth=0.8)
    axes.locator_params(axis="y", nbins=4)
    _plain(axes, label)


def _draw_motion(axes: "Axes", moved: Float[np.ndarray, " time"], times: Float[np.ndarray, " time"]) -> None:
    known = moved[~np.isnan(moved)]
    said = f"\n{(known > MOVED_MM).mean():.1%} above {MOVED_MM:g}" if len(known) else ""
    _draw_line(axes, moved, times, f"head motion (mm){said}")
    axes.axhline(MOVED_MM, color=_ALARM, linewidth=0.8, linestyle="--")
    axes.set_ylim(bottom=0)


def _draw_invalid(axes: "Axes", mask: Bool[np.ndarray, " time"], times: Float[np.ndarray, " time"]) -> None:
    from matplotlib.colors import ListedColormap

    axes.imshow(
        ~mask[None], aspect="auto", extent=_extent(times, 1), cmap=ListedColormap(["0.93", _ALARM]), vmin=0, vmax=1
    )
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(f"{(~mask).mean():.1%} not valid", fontsize=9, rotation="horizontal", ha="right", va="center")


def _draw_carpet(
    axes: "Axes",
    values: Float[np.ndarray, "time output"],
    groups: dict[str, Int[np.ndarray, " place"]],
    mask: Bool[np.ndarray, " time"],
    times: Float[np.ndarray, " time"],
) -> None:
    from matplotlib import colormaps

    n_outputs = sum(len(outputs) for outputs in groups.values())
    parts = {name: _rows(values, outputs, round(_ROWS * len(outputs) / n_outputs)) for name, outputs in groups.items()}
    picture = np.concatenate(list(parts.values()))
    picture[:, ~mask] = np.nan
    greys = colormaps["gray"].with_extremes(bad=_INVALID)
    shown = axes.imshow(picture, aspect="auto", extent=_extent(times, len(picture)), cmap=greys, vmin=-_TOP, vmax=_TOP)
    edges = np.cumsum([0, *(len(part) for part in parts.values())])
    for edge in edges[1:-1]:
        axes.axhline(edge, color="white", linewidth=2)
    names = [f"{name}\n{len(outputs):,} of {values.shape[1] // len(groups):,}" for name, outputs in groups.items()]
    axes.set_yticks((edges[:-1] + edges[1:]) / 2, names, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[:].set_visible(False)
    assert axes.figure is not None
    bar = axes.figure.colorbar(
        shown, ax=axes, location="right", shrink=0.6, aspect=25, pad=0.01, extend="both", ticks=[-_TOP, 0, _TOP]
    )
    bar.set_label("deviations from the output's line", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set(edgecolor="0.6", linewidth=0.6)  # its white end would be lost on white paper


def _extent(times: Float[np.ndarray, " time"], n_rows: int) -> tuple[float, float, float, float]:
    """Left, right, bottom and top: a volume's column is centred on its time."""
    half = (times[1] - times[0]) / 2
    return times[0] - half, times[-1] + half, n_rows, 0

"""The picture of a plan: score against calibration minutes, each method with its band, zero-shot as a line; PNG."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tribetune.evaluate.minutes import Curve
from tribetune.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    "zero-shot": "#777777",
    "fir": "#d9822b",
    "ridge": "#3f8f5f",
    "readout": "#1b3a6b",
    "lora": "#bb2649",
    "gain": "#7a5ba8",
    "low-rank": "#2a9d9d",
}
_OTHERS = ("#8c6d31", "#c46ba0", "#4f6d7a", "#5b8c2a")
"""For methods without a colour of their own, in order."""

_TITLES = {"all": "all outputs", "chosen": "chosen on calibration data"}


def minutes_picture(curves: Mapping[str, Mapping[str, Curve]], path: Path, *, title: str = "") -> None:
    """Draw mean r against log(minutes) for every method, one panel per set of outputs.

    Parameters
    ----------
    curves : mapping of set of outputs to mapping of method to Curve
    path : Path
        A PNG file; its folder is made, and it appears when it is whole.
    title : str
        Above the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(curves) + 0.4, 4.6), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (where, methods) in zip(panels, curves.items(), strict=True):
        _draw(axes, methods)
        count = max(curve.n_outputs for curve in methods.values())
        axes.set_title(f"{_TITLES.get(where, where)} ({count:,})", fontsize=9.5, loc="left")
    panels[0].set_ylabel("mean r, held out", fontsize=9.5)
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.012, ha="left")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=160)


def _draw(axes: "Axes", methods: Mapping[str, Curve]) -> None:
    from matplotlib.ticker import NullLocator

    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    for method, curve in methods.items():
        _draw_curve(axes, method, curve, _colour(method, list(methods)))
    minutes = next(iter(methods.values())).minutes
    axes.set_xscale("log")
    axes.set_xticks(minutes, [f"{value:.3g}" for value in minutes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("calibration minutes", fontsize=9.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)


def _draw_curve(axes: "Axes", method: str, curve: Curve, colour: str) -> None:
    ends = [curve.at(length).interval for length in range(len(curve.minutes))]
    low, high = ([pair[side] for pair in ends] for side in (0, 1))
    axes.fill_between(curve.minutes, low, high, color=colour, alpha=0.13, linewidth=0)
    if method == "zero-shot":
        axes.plot(curve.minutes, curve.r, color=colour, linewidth=1.4, linestyle="--", label=method)
        return
    for order in curve.by_order:
        axes.plot(curve.minutes, order, color=colour, linewidth=0.6, alpha=0.4)
    axes.plot(curve.minutes, curve.r, "o-", color=colour, linewidth=1.8, markersize=4, label=method)


def _colour(method: str, methods: list[str]) -> str:
    own = [name for name in methods if name not in _COLOURS]
    return _COLOURS[method] if method in _COLOURS else _OTHERS[own.index(method) % len(_OTHERS)]

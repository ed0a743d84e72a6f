"""The picture of a lag sweep: mean r against the lag, for all outputs, auditory and visual cortex, as PNG."""

from pathlib import Path
from typing import TYPE_CHECKING

from tribetune.evaluate.lag import LagCurve, LagSweep
from tribetune.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"all": "#1b3a6b", "auditory": "#d9822b", "visual": "#3f8f5f"}
_OTHER = "0.35"
_ALARM = "#bb2649"


def lag_picture(sweep: LagSweep, path: Path, *, title: str = "", senses: str = "") -> None:
    """Draw r against the lag with its 95 % interval, each best lag, the recipe's lag and chance.

    Parameters
    ----------
    sweep : LagSweep
    path : Path
        A PNG file; its folder is made, and it appears when it is whole.
    title : str
        Above the picture.
    senses : str
        Where auditory and visual outputs are known from, below it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    _draw_lines(axes, sweep)
    for name, curve in sweep.curves.items():
        _draw_curve(axes, sweep, name, curve)
    _label(axes, sweep, title)
    figure.supxlabel(_caption(sweep, senses), fontsize=7.5, color="0.35", x=0.012, ha="left")
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=160)


def _draw_lines(axes: "Axes", sweep: LagSweep) -> None:
    """What the curves are to be seen against."""
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.axvline(sweep.recipe_lag_s, color=_ALARM, linewidth=1, linestyle="--", zorder=0)
    axes.annotate(
        f"recipe: {sweep.recipe_lag_s:g} s", (sweep.recipe_lag_s, 1), (4, -2), xycoords=axes.get_xaxis_transform(),
        textcoords="offset points", color=_ALARM, fontsize=8.5, va="top",
    )  # fmt: skip
    chance = sweep.curves["all"].null_95
    if chance == chance:
        axes.axhline(chance, color=_COLOURS["all"], linewidth=0.8, linestyle=":", zorder=0)
        axes.annotate(
            "chance stays below (all)", (sweep.lags_s[-1], chance), (0, 2), textcoords="offset points", fontsize=7.5,
            color=_COLOURS["all"], ha="right",
        )  # fmt: skip


def _draw_curve(axes: "Axes", sweep: LagSweep, name: str, curve: LagCurve) -> None:
    colour = _COLOURS.get(name, _OTHER)
    axes.fill_between(sweep.lags_s, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    label = f"{name} ({curve.n_outputs}): not above chance"
    if curve.above_null:
        low, high = curve.interval_s
        label = f"{name} ({curve.n_outputs}): {curve.best_s:.1f} s [{low:.1f}, {high:.1f}]"
        top = curve.r.max()
        axes.plot([low, high], [top, top], color=colour, linewidth=3, alpha=0.6, solid_capstyle="butt")
        axes.plot([curve.best_s], [top], "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)
    axes.plot(sweep.lags_s, curve.r, color=colour, linewidth=1.6, label=label)


def _label(axes: "Axes", sweep: LagSweep, title: str) -> None:
    axes.set_title(title, fontsize=12, fontweight="bold", loc="left")
    axes.set_xlabel("lag: seconds by which BOLD follows the stimulus", fontsize=9.5)
    axes.set_ylabel("mean r, cross-validated", fontsize=9.5)
    axes.set_xlim(sweep.lags_s[0], sweep.lags_s[-1])
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)
    # Below the curves, not on them: where they peak is not known beforehand.
    legend = axes.legend(
        title="outputs (n): best lag [95 %]", fontsize=8.5, title_fontsize=8.5, frameon=False, loc="upper center",
        bbox_to_anchor=(0.5, -0.13), ncols=3, columnspacing=1.5, handlelength=1.5,
    )  # fmt: skip
    legend.get_title().set_color("0.35")


def _caption(sweep: LagSweep, senses: str) -> str:
    said = f"{sweep.minutes:.1f} min of calibration data; all: outputs that are predicted best on other folds"
    return f"{said};\nauditory and visual: {senses}" if senses else said

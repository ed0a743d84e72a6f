"""The picture of a group prediction: R_group against the size of the cohort, beside what subjects reach, as PNG."""

from pathlib import Path

from tribetune.evaluate.group import GroupScores
from tribetune.files import whole

_MODEL, _SUBJECTS = "#1b3a6b", "#bb2649"


def curve_picture(scores: GroupScores, path: Path, *, title: str = "") -> None:
    """Draw R_group of cohorts of every size with 95 % of them, every subject's r with the others, and their median.

    Parameters
    ----------
    scores : GroupScores
    path : Path
        A PNG file; its folder is made, and it appears when it is whole.
    title : str
        Above the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    sizes = [point.n_subjects for point in scores.curve]
    low, high = [point.low for point in scores.curve], [point.high for point in scores.curve]
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.fill_between(sizes, low, high, color=_MODEL, alpha=0.15, linewidth=0)
    axes.plot(sizes, [point.mean for point in scores.curve], "o-", color=_MODEL, markersize=4, label="R_group")
    last = sizes[-1]
    axes.errorbar(
        [last], [scores.r_group.mean], [[scores.r_group.mean - scores.r_group.interval[0]],
        [scores.r_group.interval[1] - scores.r_group.mean]], color=_MODEL, capsize=3,
    )  # fmt: skip
    axes.plot([last] * len(scores.subjects), scores.subjects, "_", color=_SUBJECTS, alpha=0.6, markersize=10)
    axes.axhline(
        scores.median_subject.mean, color=_SUBJECTS, linewidth=1, linestyle="--",
        label=f"median subject with the mean of {last - 1} others",
    )  # fmt: skip
    axes.set_title(title, fontsize=11, fontweight="bold", loc="left")
    axes.set_xlabel("subjects in the mean (bands: 95 % of cohorts drawn from this one)", fontsize=9)
    axes.set_ylabel(f"r, mean over {scores.r_group.n_outputs:,} outputs", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)
    axes.legend(frameon=False, fontsize=8.5)
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=160)

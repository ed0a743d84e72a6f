"""Commands that score: evaluate, group."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import AllowLeakage, AsJson, Out, Overrides, RecipeName
from tribetune.cli.stderr import shown_progress
from tribetune.cli.table import print_json, print_lines, print_result
from tribetune.digits import rounded

if TYPE_CHECKING:
    from tribetune.study.group import GroupResult


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "evaluate", example="tribetune evaluate runs/sub-01 --verify")(evaluate)
    command(app, "group", example="tribetune group group-zero-shot --set data.bids=my-study --out runs/group")(group)


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of `tribetune adapt`.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Predict again from features and adapters, fit baselines again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score a finished run again from what it saved, and hold the scores against those it stored."""
    from tribetune.study import rescore as study

    with shown_progress() as progress:
        result = study.rescore(run, verify, progress)
    print_result(result, as_json)


def group(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Out = None,
    allow_leakage: AllowLeakage = "",
    as_json: AsJson = False,
) -> None:
    """Predict a cohort's mean response without training, and score it beside the median subject.

    R_group is r of the unseen subject's prediction with the cohort's mean BOLD per output, then averaged. It grows with
    the cohort, so N always stands beside it, and it is not comparable with r of single subjects.
    """
    from tribetune.shipped import find_recipe
    from tribetune.study import group as study

    with shown_progress() as progress:
        result = study.predict_group(
            str(find_recipe(recipe)), overrides or [], out, progress, allow_leakage=allow_leakage
        )
    if as_json:
        print_json(result.facts)
        return
    print_lines(f"N = {result.scores.n_subjects} subjects", ("figure", "r", "95 % over subjects"), _lines(result))
    typer.echo(
        f"Means over {result.scores.r_group.n_outputs:,} outputs, {result.scores.n_samples:,} samples that all subjects"
        f" have. By chance, that is at the wrong time, 95 % of R_group stay below {rounded(result.null_95)}."
    )
    for label, reason in result.left_out.items():
        typer.echo(f"left out: sub-{label}: {reason}")
    for line in (*result.notes, *study.group_words(result)):
        typer.echo(line)
    for picture in result.pictures:
        typer.echo(f"picture: {picture}")
    typer.echo(f"folder: {result.folder}")


def _lines(result: "GroupResult") -> list[tuple[str, str, str]]:
    scores = result.scores
    lines = [("R_group: the prediction with the cohort's mean", *_cells(scores.r_group.mean, scores.r_group.interval))]
    median = scores.median_subject
    lines.append(("median subject: his BOLD with the others' mean", *_cells(median.mean, median.interval)))
    lines.append(("individual r (no R_group): mean over subjects", rounded(scores.individual.mean()), "–"))
    points = scores.curve[:-1]
    return lines + [(f"R_group with {p.n_subjects}", *_cells(p.mean, (p.low, p.high))) for p in points]


def _cells(value: float, interval: tuple[float, float]) -> tuple[str, str]:
    return rounded(value), f"{rounded(interval[0])} to {rounded(interval[1])}"

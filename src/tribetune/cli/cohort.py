"""A cohort's result on stdout: each subject's scores, then the mean over subjects."""

from typing import TYPE_CHECKING, Any

import typer

from tribetune.cli.cells import UNDEFINED, score, with_interval
from tribetune.cli.table import print_json, print_lines

if TYPE_CHECKING:
    from tribetune.study.cohort import CohortResult


def print_cohort(result: "CohortResult", as_json: bool) -> None:
    """Print a row per subject and one for the mean, and what the differences come to, in words."""
    from tribetune.study.cohort import cohort_sentence

    methods = [row["method"] for row in result.rows]
    if as_json:
        sentences = [cohort_sentence(result, method) for method in methods]
        told = {"rows": result.rows, "subjects": result.subjects, "left_out": result.left_out}
        print_json({**told, "verdict": " ".join(filter(None, sentences)), "folder": str(result.folder)})
        return
    lines = [[f"sub-{label}", *(_score(rows, method) for method in methods)] for label, rows in result.subjects.items()]
    lines.append(["mean\n[95 %]", *(with_interval(row, between="\n") for row in result.rows)])
    print_lines("mean r over all outputs", ["subject", *methods], lines)
    for label, reason in result.left_out.items():
        typer.echo(f"left out: sub-{label}: {reason}")
    for method in methods:
        if sentence := cohort_sentence(result, method):
            typer.echo(sentence)
    typer.echo(f"folder: {result.folder}")


def _score(rows: list[dict[str, Any]], method: str) -> str:
    own = next((row for row in rows if row["method"] == method), None)
    return UNDEFINED if own is None or not own["defined"] else score(own["mean_r"])

"""Results on stdout: the table of methods with its verdict, or the same as JSON."""

import json
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import typer

from tribetune.cli.cells import UNDEFINED, count, score, seconds, with_interval

if TYPE_CHECKING:
    from rich.table import Table

AGAINST = {"zero_shot": "zero-shot", "fir": "FIR", "banded": "banded", "nuisance": "nuisance", "others": "others"}
"""Baselines that a difference is shown from, and the head of its column."""

ALWAYS_AGAINST = ("zero_shot", "fir")
"""Those with a column also where nothing was held against them."""

WIDE = 100
"""Characters from which a difference and its interval fit on one line; text is hard to read in longer ones."""


@runtime_checkable
class Result(Protocol):
    """What an adaptation hands over to be shown."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One per method."""

    @property
    def verdict(self) -> str:
        """One sentence."""

    @property
    def folder(self) -> Path:
        """Where everything was saved."""

    @property
    def notes(self) -> list[str]:
        """What a reader of the table must know."""


def print_result(result: Result, as_json: bool, picture: Path | None = None) -> None:
    """Print a result to stdout, with where it was saved."""
    saved = {"folder": str(result.folder)} | ({"picture": str(picture)} if picture else {})
    if as_json:
        print_json({"rows": result.rows, "verdict": result.verdict, "notes": result.notes} | saved)
        return
    from rich.console import Console

    from tribetune.cli.beside import tables_beside

    console = Console(highlight=False, markup=False, soft_wrap=False)
    console.print(methods_table(result.rows, wide=console.width >= WIDE))
    for line in _how_to_read(result.rows):
        console.print(line, style="dim")
    for table, lines in tables_beside(result.rows):
        console.print(table)
        for line in lines:
            console.print(line, style="dim")
    for line in result.notes:
        console.print(line, style="dim")
    console.print(f"\n{result.verdict}\n", style="bold")
    for what, where in saved.items():
        typer.echo(f"{what}: {where}")


def print_json(value: Any) -> None:
    """Print JSON to stdout; NaN becomes null, because JSON has no NaN."""
    without_nan = json.loads(json.dumps(value), parse_constant=lambda _: None)
    typer.echo(json.dumps(without_nan, indent=2, ensure_ascii=False))


def print_lines(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table to stdout; the first column is never broken."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title or None, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def print_entries(entries: Mapping[str, Mapping[str, str]]) -> None:
    """Print what is too long for columns: a name, below it the first thing said of it, then the others with keys.

    What is empty is left out.
    """
    lines = textwrap.TextWrapper(
        min(shutil.get_terminal_size().columns, WIDE), break_long_words=False, break_on_hyphens=False
    )
    for name, said in entries.items():
        typer.secho(name, bold=True)
        (_, first), *others = [(key, text) for key, text in said.items() if text]
        keys = max((len(key) for key, _ in others), default=0) + 2
        for key, text in [("", first), *((key.ljust(keys), text) for key, text in others)]:
            lines.initial_indent, lines.subsequent_indent = f"  {key}", " " * (2 + len(key))
            typer.echo(lines.fill(text))
        typer.echo()


def methods_table(rows: Sequence[Mapping[str, Any]], wide: bool) -> "Table":
    """The table of methods: one row each, numbers to the right; narrow, an interval goes below its difference."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1 if wide else 0, 0, 0))
    table.add_column("method", no_wrap=True, style="bold")
    against = [name for name in AGAINST if name in ALWAYS_AGAINST or any(row.get(f"delta_{name}") for row in rows)]
    headings = ["calib.\nmin", "trained\nweights", "time\ns", "mean r\nall", "mean r\nchosen"]
    for heading in (*headings, *(f"Δ {AGAINST[name]}" for name in against)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, against, between=" " if wide else "\n"))
    return table


def _cells(row: Mapping[str, Any], against: Sequence[str], between: str) -> tuple[str, ...]:
    defined = row.get("defined", True)
    undefined = UNDEFINED.replace(" ", "\n")
    return (
        row["method"],
        count(row["calibration_minutes"]),
        count(row["trained_parameters"]),
        seconds(row["seconds"]),
        score(row["mean_r"]) if defined else undefined,
        score(row["mean_r_selected"]) if defined else undefined,
        *(with_interval(row.get(f"delta_{name}"), "+", between) for name in against),
    )


def _how_to_read(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    defined = [row for row in rows if row.get("defined", True)]
    everywhere, selected = (_counts(row[key] for row in defined) for key in ("n_outputs", "n_selected"))
    lines = [
        f"mean r: over all {everywhere} outputs with a score, and over {selected} chosen on calibration data.",
        "Δ: difference of the mean over all, [95 % block-bootstrap interval].",
    ]
    return lines + [f"{row['method']}: {UNDEFINED}: {row['reason']}." for row in rows if row.get("reason")]


def _counts(values: Any) -> str:
    counts = sorted(set(values))
    if not counts:
        return "0"
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,}–{counts[-1]:,}"

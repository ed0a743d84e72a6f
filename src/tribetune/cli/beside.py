"""Tables below that of the methods: how sure its scores are, and what each set of modalities predicts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tribetune.cli.cells import score, with_interval

if TYPE_CHECKING:
    from rich.table import Table

Rows = Sequence[Mapping[str, Any]]

_MODALITIES = "modalities"

_HOW_PARTED = (
    "part: of one modality, what is lost without it; of several, what any of them gives and no other does. The parts"
    " add up to the r of all."
)


def tables_beside(rows: Rows) -> Iterator[tuple["Table", list[str]]]:
    """Each table that these rows have something for, and how to read it."""
    sure = [row for row in rows if row.get("p") is not None]
    if sure:
        yield sure_table(sure), _how_sure(sure)
    parted = [row for row in rows if row.get(_MODALITIES)]
    if parted:
        yield modality_table(parted), [_HOW_PARTED]


def sure_table(rows: Rows) -> "Table":
    """A row per method: mean r with its interval, beside chance, ceiling, retrieval, and the samples it comes from."""
    table = _table("how sure", "mean r\n[95 %]", "chance\n95 %", "p", "above\nchance", "share of\nceiling",
                   "retrieval\nrank %", "samples\n(effect.)")  # fmt: skip
    for row in rows:
        shown = {"mean": row["mean_r"], "interval": row["interval"]}
        table.add_row(
            row["method"],
            with_interval(shown, between="\n"),
            score(row["null_95"]),
            score(row["p"]),
            f"{row['n_significant']:,}\nof {row['n_tested']:,}",
            _share(row.get("normalised")),
            _whole(row.get("retrieval_median_percentile")),
            f"{row['n_samples']:,}\n({_whole(row['n_effective'])})",
        )
    return table


def modality_table(rows: Rows) -> "Table":
    """A row per set of modalities; per method the mean r of predictions from them, and their contribution."""
    table = _table("from", *(f"{row['method']}\n{what}" for row in rows for what in ("mean r", "part")))
    for place, one in enumerate(rows[0][_MODALITIES]):
        own = [row[_MODALITIES][place] for row in rows]
        cells = [cell for found in own for cell in (score(found["mean_r"]), score(found["contribution"], "+"))]
        table.add_row(one["from"], *cells)
    return table


def _how_sure(rows: Rows) -> list[str]:
    first = rows[0]
    lines = [
        "chance: 95 % of the means at a wrong time stay below, p says how many reach the score; above chance: outputs,"
        " false discovery rate 5 %."
    ]
    if first["ceiling_kind"] != "none":
        of = f"{first['n_normalised']:,} outputs whose ceiling ({first['ceiling_kind']}) is reliably above zero"
        lines.append(f"share of ceiling: mean of r / ceiling over {of}.")
    if n := first.get("retrieval_n"):
        lines.append(f"retrieval: median place of a segment among all {n:.0f} by its prediction: 100 first, 50 chance.")
    return lines


def _table(*headings: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column(headings[0], no_wrap=True, style="bold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _share(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.2f}"


def _whole(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.0f}"

"""The figures of `minutes` as tables and sentences, for the log and for the recipes' README."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from held_out import mean_interval, paired, ratio_interval, shown
from minutes import CLOSED, LENGTHS, N_OUTPUTS, NOISE, RUN_MINUTES, SAMPLE, SUBJECTS, TRUNK

Figures = Sequence[Mapping[str, Any]]

SETS = {"all": "over all of cortex", "selected": "over the tenth of it that calibration data predict best"}
METHODS = ("fir", *CLOSED, *TRUNK)
EARLY, LATE = 10, 60
"""Minutes that the aims are about."""


def tables(figures: Figures) -> list[str]:
    """Share of the ideal score for every method and length, one table per set of outputs."""
    people = _people(figures)
    subjects, seeds = {_who(figure) for figure in people}, {figure["seed"] for figure in people}
    first = {_who(figure) for figure in _with(people, TRUNK[0])}
    lines = [
        f"Share of the ideal score (the planted signal's own r) that the mean r reaches on a test run of"
        f" {RUN_MINUTES:g} min [95 % bootstrap interval over subjects]. {len(subjects)} subjects, {SUBJECTS} for each"
        f" of {len(seeds)} seeds; {', '.join(TRUNK)}: the first of each seed, {len(first)} (the second"
        f" count of a row: not the same subjects as in the other columns). All is fitted to and"
        f" scored on the same random {len(SAMPLE):,} of {N_OUTPUTS:,} vertices."
    ]
    for of, title in SETS.items():
        lines += ["", f"Mean r {title}:", ""]
        lines += [f"| minutes | subjects | ideal r | {' | '.join(METHODS)} |", "|---" * (len(METHODS) + 3) + "|"]
        for minutes in LENGTHS:
            cells = [_share(_with(people, method, minutes), method, of) for method in METHODS]
            counts = ", ".join(str(len(_with(people, method, minutes))) for method in (METHODS[0], TRUNK[0]))
            ideal = f"{mean_interval(_r(_with(people, METHODS[0], minutes), 'ideal', of))[0]:.3f}"
            lines.append(f"| {minutes} | {counts} | {ideal} | {' | '.join(cells)} |")
    return lines


def sentences(figures: Figures) -> list[str]:
    """How the methods compare: paired differences, what was aimed at, and what the ladder did."""
    people = _people(figures)
    lines = []
    for of, title in SETS.items():
        lines += [f"Paired, mean r {title}:", ""]
        for minutes in LENGTHS:
            found = [f"{method} {_apart(people, method, 'zero-shot', minutes, of)}" for method in METHODS[2:]]
            lines.append(f"- {minutes} min, less zero-shot: {'; '.join(found)}.")
        lines += [*_aims(people, of), ""]
    return [*lines, *_ladder(figures)]


def _aims(people: Figures, of: str) -> list[str]:
    early, late = ({m: _r(_with(people, m, minutes), m, of) for m in METHODS} for minutes in (EARLY, LATE))
    best, closest = (max(CLOSED, key=lambda m, found=found: sum(found[m])) for found in (early, late))
    ratio = shown(ratio_interval(early[best], early["fir"]))
    lines = [
        f"- {EARLY} min: {best} is best of what every subject has: {ratio} × FIR;"
        f" {paired(early[best], early['zero-shot'], f'{best} − zero-shot')}",
        f"- {LATE} min: {closest} is best of what every subject has;"
        f" {paired(late[closest], late['fir'], f'{closest} − FIR')}",
    ]
    for minutes in (EARLY, LATE):
        found = _with(people, TRUNK[0], minutes)
        shares = {m: ratio_interval(_r(found, m, of), _r(found, "ideal", of)) for m in METHODS}
        order = sorted(METHODS, key=lambda m, shares=shares: -shares[m][0])
        ranked = ", ".join(f"{method} {shown(shares[method])}" for method in order)
        lines.append(f"- {minutes} min, the {len(found)} subjects that have every method, share of ideal: {ranked}.")
    return lines


def _ladder(figures: Figures) -> list[str]:
    lines = []
    for noise, name in ((False, "Ladder"), (True, "Ladder on noise")):
        for minutes in LENGTHS:
            some = [figure for figure in _with(figures, "ladder", minutes) if (figure["subject"] == NOISE) == noise]
            if not some:
                continue
            kept = ", ".join(f"{rung} {count}" for rung, count in Counter(f["kept"] for f in some).most_common())
            ladder, ground = _r(some, "ladder", "all"), _r(some, "zero-shot", "all")
            least = min(one - other for one, other in zip(ladder, ground, strict=True))
            told = paired(ladder, ground, "ladder − zero-shot")
            lines.append(f"- {name}, {minutes} min: kept {kept}; {told} Least: {least:+.4f}.")
    return lines


def _people(figures: Figures) -> list[Mapping[str, Any]]:
    return [figure for figure in figures if figure["subject"] != NOISE]


def _who(figure: Mapping[str, Any]) -> tuple[int, str]:
    return figure["seed"], figure["subject"]


def _with(figures: Figures, method: str, minutes: int | None = None) -> list[Mapping[str, Any]]:
    """Those that have a method, at a length."""
    return [f for f in figures if method in f["all"] and minutes in (None, f["minutes"])]


def _r(figures: Figures, method: str, of: str) -> list[float]:
    return [figure[of][method] for figure in figures]


def _share(figures: Figures, method: str, of: str) -> str:
    return shown(ratio_interval(_r(figures, method, of), _r(figures, "ideal", of))) if figures else "–"


def _apart(people: Figures, method: str, other: str, minutes: int, of: str) -> str:
    some = _with(people, method, minutes)
    apart = [one - two for one, two in zip(_r(some, method, of), _r(some, other, of), strict=True)]
    return shown(mean_interval(apart), 4, "+") if some else "not measured"

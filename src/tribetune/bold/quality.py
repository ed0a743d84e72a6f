"""Quality of a run as read, before it is cleaned: one line for each question, with its number, limit and verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from tribetune.bold import measures
from tribetune.bold.confounds import framewise_displacement, non_steady_trs
from tribetune.bold.run import Run
from tribetune.errors import BoldError, SpaceError

Verdict = Literal["ok", "look", "bad", "unknown"]

MOVED_MM = 0.5
"""Framewise displacement above which a volume counts as moved (Power et al. 2012; nilearn's scrubbing)."""

_FEWEST = 3
"""Volumes that a deviation around a line takes."""

_NAMED = 5
"""Places that a line names before it stops."""

_STANDARD = 0.1
"""A run whose outputs have means this close to 0, and deviations this close to 1, was z-scored before."""


@dataclass(frozen=True)
class Limit:
    """What a number is held against, fixed before any data were looked at.

    Attributes
    ----------
    look, bad : float
        Beyond them the verdict is ``look`` or ``bad``; beyond is above, or below where ``bad`` is less than ``look``.
    source : str
        Who says so; empty: we do.
    """

    look: float
    bad: float
    source: str = ""

    def judge(self, value: float) -> Verdict:
        """Verdict on a number; ``unknown`` on NaN."""
        sign = 1 if self.bad >= self.look else -1
        if np.isnan(value):
            return "unknown"
        return "bad" if sign * value > sign * self.bad else "look" if sign * value > sign * self.look else "ok"

    def say(self, unit: str = "", shown: str = "g") -> str:
        """The limit in words."""
        side = "above" if self.bad >= self.look else "below"
        bad = f", bad {side} {self.bad:{shown}}{unit}" if np.isfinite(self.bad) else ""
        return f"look {side} {self.look:{shown}}{unit}{bad}" + (f" ({self.source})" if self.source else "")


LIMITS = {
    "tSNR": Limit(50, 20, "look: Murphy et al. 2007"),
    "head motion": Limit(0.25, 0.55, "Parkes et al. 2018"),
    "moved volumes": Limit(0.2, 0.5),
    "undefined outputs": Limit(0.1, 0.25, "fsaverage5's medial wall is 8.6%"),
    "not finite": Limit(0, 0),
    "spikes": Limit(0.01, 0.1),
    "jumps": Limit(0, 3),
    "first volumes": Limit(0, 10),
    "level": Limit(5, np.inf),
    "noise": Limit(1.5, 3),
    "pattern": Limit(0.95, 0.8),
}
"""By the name of the finding; those without a source are ours."""


@dataclass(frozen=True)
class Finding:
    """One answer.

    Attributes
    ----------
    name : str
        What was looked at.
    value : float
        The number that was judged; NaN where it cannot be told.
    verdict : {"ok", "look", "bad", "unknown"}
        By the limits.
    text : str
        Number and limits in plain words.
    """

    name: str
    value: float
    verdict: Verdict
    text: str

    def __str__(self) -> str:
        """One line: verdict, name, words."""
        return f"{self.verdict:8}{self.name}: {self.text}"


@dataclass(frozen=True)
class Quality:
    """What was found in one run.

    Attributes
    ----------
    label, session, space : str
        Of the run.
    findings : tuple of Finding
        In a fixed order.
    mean, noise : array of shape (n_outputs,)
        Every output's mean, and its deviation around its own line; what sessions are compared by.
    """

    label: str
    session: str
    space: str
    findings: tuple[Finding, ...]
    mean: Float[np.ndarray, " output"]
    noise: Float[np.ndarray, " output"]

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings; what is unknown does not count."""
        found = {finding.verdict for finding in self.findings}
        return "bad" if "bad" in found else "look" if "look" in found else "ok"


def quality_of(run: Run, confounds: Path | None = None) -> Quality:
    """Look at one run.

    Parameters
    ----------
    run : Run
        As read, in any space; cleaned runs have lost what is looked for.
    confounds : Path or None
        fMRIPrep's table, for head motion.

    Raises
    ------
    BoldError
        If fewer than three volumes are valid, or the confounds do not fit the run.
    """
    if run.mask.sum() < _FEWEST:
        raise BoldError(
            f"{run.label}: {int(run.mask.sum())} valid volumes, expected at least {_FEWEST}", hint="leave this run out"
        )
    levels = measures.levels(run.values, run.mask)
    signal = measures.global_signal(run.values, run.mask, ~np.isnan(levels.noise))
    findings = (
        _scale(levels),
        _tsnr(levels),
        *_outputs(run, levels),
        _first_volumes(run, signal, confounds),
        _spikes(run, levels),
        _jumps(run, signal),
        *_motion(run, confounds),
    )
    return Quality(run.label, run.session, run.space, findings, levels.mean, levels.noise)


def compare_sessions(qualities: Sequence[Quality]) -> tuple[Finding, ...]:
    """Hold every session's levels and noise against the first session's; nothing where there is only one.

    Raises
    ------
    SpaceError
        If the runs do not have the same outputs.
    """
    sizes = {(quality.space, len(quality.mean)) for quality in qualities}
    if len(sizes) > 1:
        said = " and ".join(f"{space} of {n:,}" for space, n in sorted(sizes))
        raise SpaceError(f"sessions in different spaces: {said}", hint="compare runs of one space")
    sessions = list(dict.fromkeys(quality.session for quality in qualities))
    return tuple(finding for later in sessions[1:] for finding in _drift(qualities, sessions[0], later))


def _found(name: str, value: float, text: str, unit: str = "", shown: str = "g", key: str = "") -> Finding:
    limit = LIMITS[key or name]
    return Finding(name, float(value), limit.judge(value), f"{text}; {limit.say(unit, shown)}")


def _unknown(name: str, text: str) -> Finding:
    return Finding(name, np.nan, "unknown", text)


def _centred(levels: measures.Levels | Quality) -> bool:
    """Whether the mean was taken out: it is small beside the noise, so neither says anything of the scanner."""
    defined = ~np.isnan(levels.noise)
    return not defined.any() or bool(np.median(np.abs(levels.mean[defined]) / levels.noise[defined]) < 1)


def _scale(levels: measures.Levels) -> Finding:
    defined = ~np.isnan(levels.noise)
    if not defined.any():
        return Finding("scale", np.nan, "bad", "no output varies over time")
    mean, deviation = float(np.median(levels.mean[defined])), float(np.median(levels.deviation[defined]))
    text = f"median level {mean:,.4g}, deviation {deviation:,.4g}"
    if abs(mean) < _STANDARD and abs(deviation - 1) < _STANDARD:
        return Finding(
            "scale", deviation, "look", f"{text}: z-scored before; what else was taken out, this run cannot tell"
        )
    if _centred(levels):
        return Finding(
            "scale", deviation, "look", f"{text}: the mean was taken out before; what else was, this run cannot tell"
        )
    return Finding("scale", deviation, "ok", f"{text}: not z-scored yet")


def _tsnr(levels: measures.Levels) -> Finding:
    if _centred(levels):
        return _unknown("tSNR", "the mean was taken out before")
    tsnr = float(np.nanmedian(levels.mean / levels.noise))
    return _found("tSNR", tsnr, f"median {tsnr:.0f} over outputs, around their own lines")


def _outputs(run: Run, levels: measures.Levels) -> tuple[Finding, Finding]:
    never, sometimes = measures.not_finite(run.values, run.mask)
    constant = np.isnan(levels.noise) & ~never & ~sometimes
    share = float((constant | never).mean())
    text = f"{share:.1%} of {len(never):,} ({int(constant.sum()):,} constant, {int(never.sum()):,} NaN throughout)"
    spoilt = np.flatnonzero(sometimes)
    faults = f"{len(spoilt):,} outputs have values that are not finite here and there{_places(spoilt)}"
    return (
        _found("undefined outputs", share, text, shown=".0%"),
        _found("not finite", len(spoilt), faults),
    )


def _first_volumes(run: Run, signal: Float[np.ndarray, " time"], confounds: Path | None) -> Finding:
    count = measures.first_trs(signal)
    marked = non_steady_trs(confounds, len(run.values)) if confounds is not None else 0
    text = f"{count} at the start stand out above the rest" if count else "none at the start stands out above the rest"
    if marked:
        text += f", fMRIPrep marked {marked}"
    if count or marked:
        text += " (dummy scans? Then onsets must count from the first volume of this file)"
    return _found("first volumes", max(count, marked), text)


def _spikes(run: Run, levels: measures.Levels) -> Finding:
    change = measures.changes(run.values, run.mask, levels.noise)
    if np.isnan(change).all():
        return _unknown("spikes", "no two valid volumes follow each other")
    found = measures.spikes(change)
    share = len(found) / int((~np.isnan(change)).sum())
    return _found("spikes", share, f"{len(found)} of {len(change)} volumes ({share:.1%}){_places(found)}", shown=".0%")


def _jumps(run: Run, signal: Float[np.ndarray, " time"]) -> Finding:
    found = measures.jumps(signal, run.t_r)
    return _found("jumps", len(found), f"{len(found)} lasting changes of the global signal's level{_places(found)}")


def _motion(run: Run, confounds: Path | None) -> tuple[Finding, ...]:
    moved = None if confounds is None else framewise_displacement(confounds, len(run.values))
    if moved is None or np.isnan(moved).all():
        said = "no confounds" if confounds is None else f"{confounds.name} has no framewise_displacement"
        return tuple(_unknown(name, said) for name in ("head motion", "moved volumes"))
    moved = moved[~np.isnan(moved)]
    mean, share = float(moved.mean()), float((moved > MOVED_MM).mean())
    return (
        _found("head motion", mean, f"mean framewise displacement {mean:.2f} mm, at most {moved.max():.2f} mm", " mm"),
        _found("moved volumes", share, f"{share:.1%} moved more than {MOVED_MM:g} mm", shown=".0%"),
    )


def _places(found: Int[np.ndarray, " place"]) -> str:
    if not len(found):
        return ""
    more = ", …" if len(found) > _NAMED else ""
    return f", at {', '.join(f'{place:,}' for place in found[:_NAMED])}{more}"


def _drift(qualities: Sequence[Quality], first: str, later: str) -> list[Finding]:
    """Three findings: levels in units of noise, noise as a factor, and whether the map of levels is the same."""
    mean, noise = (
        np.stack(
            [np.mean([getattr(q, part) for q in qualities if q.session == session], 0) for session in (first, later)]
        )
        for part in ("mean", "noise")
    )
    both = ~np.isnan(noise).any(0)
    where = f"ses-{later} against ses-{first}"
    if not both.any():
        return [_unknown(where, "no output is defined in both")]
    mean, noise = mean[:, both], noise[:, both]
    ratio = float(np.median(noise[1] / noise[0]))
    found = [_found(f"noise, {where}", max(ratio, 1 / ratio), f"median factor {ratio:.2f}", "-fold", key="noise")]
    if any(_centred(quality) for quality in qualities):
        return [*found, _unknown(f"level, {where}", "the mean was taken out before")]
    change = float(np.median(np.abs(mean[1] - mean[0]) / noise[0]))
    same = float(np.corrcoef(mean)[0, 1])
    return [
        *found,
        _found(f"level, {where}", change, f"median change {change:.1f} deviations of the noise", key="level"),
        _found(f"pattern, {where}", same, f"maps of the levels correlate by {same:.2f}", key="pattern"),
    ]

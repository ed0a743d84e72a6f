"""What a plan says, in words: minutes saved, where curves lead, and what more minutes would buy."""

import math
from collections.abc import Mapping, Sequence

from tribetune.digits import rounded, signed
from tribetune.evaluate.bootstrap import Estimate
from tribetune.evaluate.minutes import LogLine, Saved
from tribetune.evaluate.more_runs import OneMore

NAMES = {"zero-shot": "Zero-shot", "fir": "The FIR"}

_NO_INTERVAL = "no interval: too few blocks"


def saved_sentence(method: str, saved: Saved) -> str:
    """What the FIR needs for a method's score."""
    low, high = saved.interval
    name = NAMES.get(method, method)
    how = f"{name} with {saved.spent:.3g} min" if saved.spent else f"{name}, without any scanning,"
    known = low == low and high == high
    # what the FIR needs less than its shortest length for is nowhere between it and zero
    least = "0" if not saved.spent and low <= saved.shortest else _minutes(low, saved)
    both = _minutes(high, saved) if low == high == math.inf else f"{least} to {_minutes(high, saved)}"
    interval = f"[95 % interval {both}]" if known else f"[{_NO_INTERVAL}]"
    if saved.needed != saved.needed:
        return f"{how} scores no more than the FIR does with as many: no minutes are saved {interval}."
    if saved.needed == float("inf"):
        told = f"scores what the FIR does not reach with {saved.longest:.3g} min"
    elif saved.needed <= saved.shortest and not saved.spent:
        told = f"scores what the FIR reaches with {saved.shortest:.3g} min or less"
    else:
        told = f"scores what the FIR needs {saved.needed:.3g} min for"
    return f"{how} {told}: {saved_minutes(saved)} min saved {interval}."


def saved_minutes(saved: Saved) -> str:
    """Minutes saved, in a word or two."""
    if saved.needed != saved.needed:
        return "none"
    most = "at most " if saved.needed <= saved.shortest and not saved.spent else ""
    return most + _minutes(saved.minutes, saved)


def line_sentence(method: str, line: LogLine, minutes: float, more: float) -> str:
    """What a doubling brings, and what more minutes of new stimuli would if the line goes on."""
    name, gain, then = NAMES.get(method, method), line.gain(minutes, more), line.at(minutes + more)
    told = (
        f"{name}: {_figure(line.per_doubling)} mean r for each doubling of minutes. {more:g} more minutes of new"
        f" stimuli would bring {_figure(gain)}, to {rounded(then.mean)} at {minutes + more:.0f} min, if r goes on as"
        f" a + b log(minutes), fitted to {line.n_lengths} lengths."
    )
    if gain.interval[0] > 0:
        return told
    return f"{told} {'Fewer minutes are no worse' if gain.interval[1] < 0 else 'That more helps is not shown'}."


def one_more_sentence(found: OneMore | None) -> str:
    """New stimuli, or a run again."""
    if found is None:
        return (
            "What one more run would buy ridge cannot be told: it keeps the unseen row on these data, or there is a"
            " single window."
        )
    more = f"{found.minutes:.3g} more minutes"
    told = (
        f"Ridge: {more} of new stimuli would buy about {_figure(found.new)} mean r, as many of these runs shown again"
    )
    level = f"the estimate puts it at {rounded(found.now.mean)} now"
    if found.unseen.n_outputs:
        level += f", and the unseen row at {rounded(found.unseen.mean)}"
    shown = "" if found.new.interval[0] > 0 else " That either helps is not shown."
    return f"{told} {_figure(found.repeated)}; {level}.{shown}"


def sentences(saved: Mapping[str, Saved], lines: Mapping[str, LogLine], minutes: float, more: float) -> list[str]:
    """All that curves say, the minutes saved first; ``minutes`` are the longest length."""
    told = [saved_sentence(method, found) for method, found in saved.items()]
    return told + [line_sentence(method, line, minutes, more) for method, line in lines.items()]


def headline(minutes: Sequence[float]) -> int:
    """The length that minutes saved are told for: 10 where it was measured, else the shortest."""
    return list(minutes).index(10) if 10 in minutes else 0


def _minutes(value: float, saved: Saved) -> str:
    if value != value:
        return "not known"
    return f"more than {saved.longest - saved.spent:.3g}" if value == float("inf") else f"{value:.3g}"


def _figure(found: Estimate) -> str:
    low, high = found.interval
    known = f"{signed(low, 4)}, {signed(high, 4)}"
    return f"{signed(found.mean, 4)} [{_NO_INTERVAL if low != low or high != high else known}]"

"""What is too long for the gate: simulated subjects, killed runs, real listeners, trained judges. Figures go to LOG.md.

Use: ``python benchmarks/evidence.py [--only CAMPAIGN]… [--data FOLDER] [--dry]``; campaigns: seeds, kills, alice,
alice-cohort, minutes, feature-kills, blockwise, honesty, leaks, group
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tribetune.files import hash_file, write_text
from tribetune.shipped import shipped_recipes

SEEDS = (101, 102, 103, 104, 105)
"""Of the reported subjects. Methods were developed on others (below 100)."""

GROUP = 20
"""Subjects of the simulated cohort whose group is predicted."""

KILLS = 20
LOG = Path(__file__).parent.parent / "LOG.md"
RECIPES = LOG.parent / "recipes" / "README.md"


def main() -> None:
    """Run the campaigns that were asked for and add a dated section to the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(CAMPAIGNS), action="append", help="repeat for several; all by default")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TRIBETUNE_DATA", "../shared/data")))
    parser.add_argument("--dry", action="store_true", help="print, and leave LOG.md as it is")
    given = parser.parse_args()
    for name in given.only or CAMPAIGNS:
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="evidence-") as scratch:
            lines = CAMPAIGNS[name](Path(scratch), given.data)
        section = [f"## {time.strftime('%Y-%m-%d')} · evidence: {name}", "", *lines, ""]
        section += [f"`python benchmarks/evidence.py --only {name}`, {time.perf_counter() - begin:.0f} s.", ""]
        print("\n".join(section))
        if given.dry:
            continue
        _add_to_log("\n".join(section))
        if name in IN_RECIPES:
            _put_between(RECIPES, name, IN_RECIPES[name]())


def seeds(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """The demo on five subjects that neither the checkpoint nor the methods' author met."""
    from tribetune.study.demo import demo

    results = {}
    for seed in SEEDS:
        results[seed] = demo(scratch / str(seed), seed=seed)
        print(seed, results[seed].verdict, file=sys.stderr, flush=True)
    lines = ["24 calibration minutes, run 4 held out; mean r [95 % block-bootstrap interval].", ""]
    for title, *keys in SETS:
        lines += _seed_table(title, keys, results)
    return lines


SETS = (
    ("over all of cortex", "mean_r", "interval", "null_95"),
    (
        "over the tenth of it that calibration data predict best",
        "mean_r_selected",
        "interval_selected",
        "null_95_selected",
    ),
)


def _seed_table(title: str, keys: Sequence[str], results: dict) -> list[str]:
    mean, interval, null = keys
    methods = ("zero-shot", "fir", "readout", "lora")
    lines = [
        f"Mean r {title}:",
        "",
        f"| seed | ideal, all of cortex | null 95 % | {' | '.join(methods)} |",
        "|---" * 7 + "|",
    ]
    means: dict[str, list[float]] = {method: [] for method in methods}
    for seed, result in results.items():
        rows = {row["method"]: row for row in result.rows}
        cells = [str(seed), f"{result.ideal:.4f}", f"{rows['zero-shot'][null]:.4f}"]
        cells += [_with_interval(rows[method][mean], rows[method][interval]) for method in methods]
        lines.append(f"| {' | '.join(cells)} |")
        for method in methods:
            means[method].append(rows[method][mean])
    return [*lines, "", *(f"- {_paired(means, one, other)}" for one in methods[2:] for other in methods[:2]), ""]


def kills(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """`adapt` killed at random moments and started again: the results of an unbroken run, bit for bit."""
    from tribetune.simulate.cohort import simulate
    from tribetune.simulate.settings import CohortSettings

    bids = simulate(scratch / "bids", CohortSettings(subjects=1, runs=3, minutes=2.0, seed=7))
    command = _adapt_command(bids, scratch / "features")
    begin = time.perf_counter()
    subprocess.run([*command, "--out", str(scratch / "unbroken")], check=True, capture_output=True)
    duration, wanted = time.perf_counter() - begin, _results(scratch / "unbroken")
    moments, halves, same = random.Random(33), 0, 0
    for attempt in range(KILLS):
        out = scratch / f"killed-{attempt}"
        _killed([*command, "--out", str(out)], moments.uniform(0, duration))
        halves += any(out.rglob("*.safetensors")) and not (out / "scores.json").exists()
        subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
        same += _results(out) == wanted
    return [
        f"{KILLS} runs of `adapt` (lora) were killed at a uniformly random moment of {duration:.0f} s and started"
        f" again; {halves} had begun to save. Adapter and scores bitwise equal to an unbroken run: {same} of {KILLS}."
    ]


def alice(scratch: Path, data: Path) -> list[str]:
    """All 27 listeners of Alice in Wonderland, each adapted on his first minutes and tested on the last quarter."""
    from tribetune.bold.tables import TableSpec, list_table_subjects
    from tribetune.study.adapt import adapt

    table = data / "alice" / "alice_brennan2016_rois.npz"
    if not table.is_file():
        return [f"Skipped: no {table}."]
    recipe = str(shipped_recipes()["alice-listening"])
    found: dict[str, list[dict]] = {method: [] for method in ("fir", "nuisance", "others", "readout")}
    wanted = ["data.subject={}", f"data.tables.path={table}", f"features.store={scratch}/features"]
    wanted.append("evaluation.baselines=[fir,nuisance,others]")
    for subject in list_table_subjects(TableSpec(str(table), bold="bold_6mm")):
        own = [override.format(subject) for override in wanted]
        for row in adapt(recipe, own, scratch / subject).rows:
            if row["method"] in found:
                found[row["method"]].append(row)
    return _alice_lines(found)


def _alice_lines(found: dict[str, list[dict]]) -> list[str]:
    rows = found["readout"]
    lines = [
        f"{len(rows)} listeners (s33 is all zeros), text only, six regions, 7 calibration and 3 test minutes each.",
        "",
    ]
    lines += ["| | mean r over listeners | median | SD | null 95 %, mean | p ≤ 0.05 | regions above chance |"]
    lines += ["|---" * 7 + "|"]
    for method, own in found.items():
        r = [row["mean_r"] for row in own]
        cells = [f"{np.mean(r):.4f}", f"{np.median(r):.4f}", f"{np.std(r, ddof=1):.4f}"]
        cells += [
            f"{np.mean([row['null_95'] for row in own]):.4f}",
            f"{sum(row['p'] <= 0.05 for row in own)} listeners",
        ]
        cells += [f"{sum(row['n_significant'] for row in own)} of {sum(row['n_tested'] for row in own)}"]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    kinds = sorted({row["ceiling_kind"] for row in rows})
    above = [row for row in rows if row["n_ceiling"]]
    told = f"Ceiling: {', '.join(kinds)}, reliably above zero in {sum(row['n_ceiling'] for row in rows)} of"
    told += f" {sum(row['n_outputs'] for row in rows)} regions of {len(above)} listeners"
    lines += [
        "",
        told + (f", there {np.mean([row['ceiling'] for row in above]):.3f} on average." if above else "."),
        "",
    ]
    means = {method: [row["mean_r"] for row in own] for method, own in found.items()}
    return [*lines, *(f"- {_paired(means, 'readout', other)}" for other in ("fir", "nuisance", "others"))]


def feature_kills(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """`features extract` killed at random moments and started again: the store of an unbroken run, byte for byte."""
    import kills_features

    found = kills_features.campaign(KILLS, 33, scratch)
    return [
        f"{found.kills} extractions of a film of {kills_features.FILM_S} s were killed (kill -9), each at a random one"
        f" of {found.steps} moments when a file comes into the store, and started again; {found.with_parts} had left an"
        f" unfinished array. Stores equal to that of an unbroken run, byte for byte: {found.same} of {found.kills}."
    ]


def blockwise(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """Blocks of words against every word's own context, on a model with trained weights."""
    import blockwise as judge

    return judge.measure(scratch)


def honesty(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """P-values under the null, false discoveries, and how often a ceiling's interval holds the truth."""
    import honesty as judge

    return judge.report(200, 500)


def leaks(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """The leak guard on clean cohorts and on planted copies."""
    import leaks as judge

    return judge.measure(scratch)


def minutes(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """Every method and FIR at 5 to 60 calibration minutes of simulated subjects; goes on where it was interrupted."""
    import minutes as judge
    import minutes_table

    figures = judge.measure()
    return [*minutes_table.tables(figures), "", *minutes_table.sentences(figures)]


def _minutes_table() -> list[str]:
    import minutes as judge
    import minutes_table

    return minutes_table.tables(judge.measure())


def alice_cohort(scratch: Path, data: Path) -> list[str]:
    """All 27 listeners left out in turn: pretrained on the others' first half, adapted on his own, tested after it."""
    import listeners

    return listeners.report(scratch, data / "alice" / "alice_brennan2016_rois.npz")


def group(scratch: Path, data: Path) -> list[str]:  # noqa: ARG001
    """Zero-shot group prediction for 20 simulated subjects whom the shipped checkpoint never met."""
    from tribetune.simulate.cohort import simulate
    from tribetune.simulate.settings import CohortSettings
    from tribetune.study.group import group_words, predict_group

    bids = simulate(scratch / "bids", CohortSettings(subjects=GROUP, runs=2, minutes=4.0, seed=2001))
    own = [f"data.bids={bids}", "data.runs=[]", f"features.store={scratch}/features"]
    result = predict_group(str(shipped_recipes()["group-zero-shot"]), own, scratch / "run")
    scores = result.scores
    low, high = scores.median_subject.interval
    lines = [
        f"{scores.n_subjects} simulated subjects, 2 films of 4 minutes, {scores.n_samples} samples and"
        f" {scores.r_group.n_outputs:,} outputs that all have; 95 % over subjects.",
        "",
        *(f"- {line}" for line in group_words(result)),
        f"- By chance 95 % of R_group stay below {result.null_95:.4f}.",
        f"- Median subject with the mean of the others: {scores.median_subject.mean:.4f} [{low:.4f}, {high:.4f}].",
        f"- Individual r (no R_group): mean {scores.individual.mean():.4f}, from {scores.individual.min():.4f} to"
        f" {scores.individual.max():.4f}.",
        "",
        "| subjects in the mean | R_group | 95 % of cohorts of that size |",
        "|---|---|---|",
    ]
    return lines + [f"| {p.n_subjects} | {p.mean:.4f} | {p.low:.4f} to {p.high:.4f} |" for p in scores.curve]


CAMPAIGNS: dict[str, Callable[[Path, Path], list[str]]] = {
    "seeds": seeds,
    "kills": kills,
    "alice": alice,
    "alice-cohort": alice_cohort,
    "minutes": minutes,
    "feature-kills": feature_kills,
    "blockwise": blockwise,
    "honesty": honesty,
    "leaks": leaks,
    "group": group,
}

IN_RECIPES: dict[str, Callable[[], list[str]]] = {"minutes": _minutes_table}
"""Tables that also stand in the recipes' README, between markers."""


def _paired(found: dict[str, list[float]], method: str, other: str) -> str:
    """A paired difference with its bootstrap interval over subjects."""
    apart = np.array(found[method]) - np.array(found[other])
    draws = np.random.default_rng(0).choice(apart, (10_000, len(apart))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return (
        f"{method} − {other}: {apart.mean():+.4f} [{low:+.4f}, {high:+.4f}] over {len(apart)} subjects,"
        f" positive in {int((apart > 0).sum())}."
    )


def _with_interval(mean: float, interval: Sequence[float]) -> str:
    return f"{mean:.4f} [{interval[0]:.4f}, {interval[1]:.4f}]"


def _adapt_command(bids: Path, store: Path) -> list[str]:
    own = [f"data.bids={bids}", "data.split.test=[3]", f"features.store={store}"]
    overrides = [word for override in own for word in ("--set", override)]
    return [sys.executable, "-m", "tribetune", "adapt", "lora-one-hour", *overrides]


def _killed(command: Sequence[str], after_s: float) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _results(out: Path) -> tuple[str, list]:
    rows = json.loads((out / "scores.json").read_text())["rows"]
    scores = [[row["method"], row["mean_r"], row["interval"], row["n_outputs"]] for row in rows]
    return hash_file(out / "adapter" / "adapter_model.safetensors"), scores


def _add_to_log(section: str) -> None:
    """Newest first, after the log's introduction."""
    head, mark, rest = LOG.read_text(encoding="utf-8").partition("\n## ")
    write_text(LOG, f"{head}\n{section}{mark}{rest}")


def _put_between(path: Path, name: str, lines: Sequence[str]) -> None:
    """Replace what stands between a file's markers of this name."""
    begin, end = f"<!-- {name}: python benchmarks/evidence.py --only {name} -->", f"<!-- end of {name} -->"
    head, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, mark, tail = rest.partition(end)
    if not mark:
        raise SystemExit(f"{path}: no markers of {name}; expected the lines {begin} and {end}")
    write_text(path, "\n".join([head + begin, "", *lines, "", end + tail]))


if __name__ == "__main__":
    main()

"""Permutation tests of every output of fsaverage5, against permuting in numpy one draw at a time.

600 samples × 20,484 outputs × 1,000 draws. The plain way z-scores once, moves the prediction, multiplies and averages
for every draw; its seconds are those of some draws times their share. Both count the draws as good as the score. Every
figure is a fresh process, from the import on, the 98 MB of series included; ratios are of wall-clock seconds.

    python benchmarks/evaluate.py [--json] [--outputs 20484] [--samples 600] [--draws 1000] [--plain-draws 50]
"""

import argparse
import json
import subprocess
import sys
from typing import Any

_HEAD = """
import json, sys, time
begin = time.perf_counter()
import numpy as np
samples, outputs, draws, timed = (int(word) for word in sys.argv[1:5])
rng = np.random.default_rng(0)
predicted, bold = (rng.standard_normal((samples, outputs), np.float32) for _ in range(2))
def report(p, seconds=None):
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6
    took = seconds or time.perf_counter() - begin
    print(json.dumps({"seconds": took, "peak_gb": peak, "below": float(np.mean(p < 0.05))}))
"""

_OURS = """
from tribetune.evaluate.bootstrap import HeldOut
from tribetune.evaluate.permutation import Scheme, permutation_test
scheme = Scheme(sys.argv[5], draws)
report(permutation_test(predicted, HeldOut(bold, ("1",) * samples), scheme).p)
"""

_PLAIN = """
x, y = ((v - v.mean(0)) / v.std(0) for v in (predicted, bold))
r, as_good, before = (x * y).mean(0), np.zeros(outputs), time.perf_counter() - begin
def moved():
    if sys.argv[5] == "circular shift":
        return np.roll(x, rng.integers(20, samples - 20), axis=0)
    return x[: samples // 30 * 30].reshape(-1, 30, outputs)[rng.permutation(samples // 30)].reshape(-1, outputs)
start = time.perf_counter()
for _ in range(timed):
    shuffled = moved()
    as_good += (shuffled * y[: len(shuffled)]).mean(0) >= r
each = (time.perf_counter() - start) / timed
report((as_good + 1) / (timed + 1), before + each * draws)
"""

KINDS = ("circular shift", "block permutation")


def measure(script: str, kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a fresh process reports."""
    sizes = [str(number) for number in (options.samples, options.outputs, options.draws, options.plain_draws)]
    command = [sys.executable, "-c", _HEAD + script, *sizes, kind]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    """Measure, print the table, and with ``--json`` the ratios as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--outputs", type=int, default=20484)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--plain-draws", type=int, default=50, help="timed, and scaled to all draws")
    options = parser.parse_args()
    found = {(kind, way): measure(script, kind, options)
             for kind in KINDS for way, script in (("ours", _OURS), ("plain", _PLAIN))}  # fmt: skip
    print(f"{options.outputs:,} outputs × {options.samples} samples × {options.draws:,} draws of noise")
    for (kind, way), result in found.items():
        told = f"{result['seconds']:7.1f} s, peak {result['peak_gb']:.2f} GB, {result['below']:.1%} below 0.05"
        print(f"  {kind:<18} {way:<6} {told}{' (scaled)' if way == 'plain' else ''}")
    if options.json:
        ratios = {f"plain/ours, {kind}": round(found[kind, "plain"]["seconds"] / found[kind, "ours"]["seconds"], 1)
                  for kind in KINDS}  # fmt: skip
        peak = {f"{kind}, {way}": round(result["peak_gb"], 3) for (kind, way), result in found.items()}
        seconds = {f"{kind}, {way}": round(result["seconds"], 2) for (kind, way), result in found.items()}
        print(json.dumps({"ratios": ratios, "seconds": seconds, "peak_gb": peak}))


if __name__ == "__main__":
    main()

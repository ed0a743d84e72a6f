"""A killed run is finished by the same command; `make evidence` does this twenty times on a larger study."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from tribetune.files import hash_file


@pytest.mark.slow
def test_a_killed_run_is_finished_by_the_same_command_bit_for_bit(study_folder, tmp_path, tribetune):
    words = ["adapt", str(study_folder / "recipe.yaml"), "--set", "adaptation.method=lora", "--out"]
    command = [sys.executable, "-m", "tribetune", *words]
    begin = time.perf_counter()
    subprocess.run([*command, str(tmp_path / "unbroken")], check=True, capture_output=True)
    duration, moments = time.perf_counter() - begin, random.Random(5)
    for attempt in range(2):
        out = tmp_path / f"killed-{attempt}"
        process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(moments.uniform(0.5, 0.95) * duration)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        finished = tribetune(*words, out)  # in this process, which has its imports
        assert finished.exit_code == 0, finished.output
        assert results(out) == results(tmp_path / "unbroken")
        assert not list(out.rglob(".part-*"))


def results(out):
    rows = json.loads((out / "scores.json").read_text())["rows"]
    scores = [(row["method"], row["mean_r"], row["interval"]) for row in rows]
    return hash_file(out / "adapter" / "adapter_model.safetensors"), scores

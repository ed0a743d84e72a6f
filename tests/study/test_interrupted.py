"""An adaptation ended by the disk, Ctrl-C or SIGTERM: told in short, nothing half-written, finished by the same one."""

import resource
import signal
import subprocess
import sys

import pytest

from tribetune.study.adapt import adapt

LIMIT = 20_000
"""Bytes per file: above every stage of this study, below its LoRA weights."""


def command(study_folder, overrides, out):
    recipe = str(study_folder / "recipe.yaml")
    return [sys.executable, "-m", "tribetune", "adapt", recipe, *(f"--set={pair}" for pair in overrides), "--out", out]


def test_a_disk_that_is_full_when_the_adapter_is_written(study_folder, tmp_path):
    lora = ["adaptation={method: lora, learning_rate: 0.001, readout_learning_rate: 0.1}"]
    out = tmp_path / "run"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))

    stopped = subprocess.run(
        command(study_folder, lora, out), capture_output=True, text=True, preexec_fn=limit, check=False
    )
    assert stopped.returncode == 2, stopped.stderr
    error, hint = stopped.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert "adapter_model.safetensors" in error
    assert hint.startswith("hint: ")
    assert "Traceback" not in stopped.stderr
    assert stopped.stdout == ""
    assert {path.name for path in (out / "stages").iterdir()} == {
        "fingerprint.json",
        "fir.safetensors",
        "zero-shot.safetensors",
    }
    assert not (out / "adapter").exists()
    assert not list(out.rglob(".part-*"))
    adapt(str(study_folder / "recipe.yaml"), lora, out)
    assert (out / "adapter" / "adapter_model.safetensors").stat().st_size > LIMIT


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_adapting_leaves_no_half_file_and_the_same_study_finishes(
    study_folder, tmp_path, number, status
):
    readout = ["adaptation.learning_rate=0.1"]
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(study_folder, readout, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "FIR baseline" in line:
            process.send_signal(number)
            break
    shown, told = process.communicate()
    assert process.returncode == status
    assert told.splitlines()[-1].startswith("Stopped. Run the same command again")
    assert "Traceback" not in told
    assert shown == ""
    assert not (out / "scores.json").exists()
    assert not list(out.rglob(".part-*"))
    assert (adapt(str(study_folder / "recipe.yaml"), readout, out).folder / "scores.json").is_file()

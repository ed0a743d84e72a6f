"""BOLD Moments (ds005165): a second session on fsaverage, ten runs of training clips and three of test clips."""

from pathlib import Path

import numpy as np

from tests.miniatures.writers import write_film, write_surface

CLIP_S, EVERY_S, N_CLIPS, N_TRS, T_R = 3, 4, 3, 7, 1.75
TEST = ("test/1001.mp4", "test/1075.mp4", "test/1102.mp4")
FSAVERAGE = 163842
SHOWN_AT = {"sub-01_task-test_run-2": (0, {"1001.mp4", "1075.mp4", "1102.mp4"})}


def make(folder: Path, subject: str = "01") -> None:
    """Three clips a run, and one that was an oddball; every test run shows the same clips in another order."""
    rng = np.random.default_rng(5165)
    for number in range(1, 11):
        clips = [f"train/{3 * number + k:04d}.mp4" for k in range(N_CLIPS)]
        _make_run(folder, subject, f"task-train_run-{number}", clips, rng)
    for number in range(1, 4):
        _make_run(folder, subject, f"task-test_run-{number}", [TEST[(k + number) % 3] for k in range(N_CLIPS)], rng)


def _make_run(folder: Path, subject: str, run: str, clips: list[str], rng: np.random.Generator) -> None:
    name = f"sub-{subject}_ses-02_{run}"
    place = f"sub-{subject}/ses-02/func"
    for side in "LR":
        path = folder / f"derivatives/versionB/fmriprep/{place}/{name}_hemi-{side}_space-fsaverage_bold.func.gii"
        write_surface(path, N_TRS, T_R, FSAVERAGE, rng)
    rows = ["onset\tduration\tstim_file\ttrial_type\tvalue"]
    for number, clip in enumerate(clips):
        rows.append(f"{EVERY_S * number}\t{CLIP_S}\t{clip}\t{run[5:].partition('_')[0]}\t{number}")
        if not (folder / "stimuli" / clip).is_file():
            write_film(folder / "stimuli" / clip, CLIP_S, rng, with_sound=False)
    rows.append(f"{EVERY_S * len(clips)}\t{CLIP_S}\tn/a\toddball\t0")
    events = folder / place / f"{name}_events.tsv"
    events.parent.mkdir(parents=True, exist_ok=True)
    events.write_text("\n".join(rows) + "\n")

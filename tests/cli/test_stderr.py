"""Progress as a person sees it, and as a log file does."""

import io

from rich.console import Console
from rich.progress import Progress as Bars

from tribetune.cli import stderr
from tribetune.progress import Progress, Silent


def work(progress: Progress) -> None:
    progress.step("Reading")
    progress.step("Extracting")
    for share in (0.0, 0.5, 1.0):
        progress.advance("run 1: video", share)
    progress.advance("run 2: video", 0.25)
    progress.step("Fitting")
    progress.advance("Fitting", 0.5)


def test_a_log_file_gets_one_line_per_step_and_part(capsys):
    with stderr.shown_progress() as progress:
        work(progress)
    assert capsys.readouterr().err.splitlines() == [
        "Reading",
        "Extracting",
        "  run 1: video",
        "  run 2: video",
        "Fitting",
    ]


def test_a_person_sees_finished_steps_full_and_no_stale_parts():
    bars = Bars(console=Console(file=io.StringIO(), width=100))
    live = stderr.Live(bars)
    work(live)
    assert [(task.description, task.completed, task.finished) for task in bars.tasks] == [
        ("Reading", 1.0, True),
        ("Extracting", 1.0, True),
        ("Fitting", 0.5, False),
    ]
    live.finish()
    assert all(task.finished for task in bars.tasks)


def test_every_listener_fits_the_protocol():
    for listener in (Silent(), stderr.Lines(), stderr.Live(Bars())):
        assert isinstance(listener, Progress)
    work(Silent())

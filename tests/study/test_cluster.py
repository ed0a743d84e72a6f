"""Extraction spread over a cluster: processes of this machine, and a real Slurm where one runs."""

import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import submitit

from tribetune.errors import FeatureError
from tribetune.features.encoders import Options, encoders
from tribetune.features.extract import extract
from tribetune.files import hash_file
from tribetune.progress import Silent
from tribetune.stimulus.timeline import timeline_of_files
from tribetune.study import cluster
from tribetune.study.cluster import Asked, spread
from tribetune.study.jobs import Job, jobs_of

SMALL = Asked(minutes=10, cpus=1, at_once=2)
OPTIONS = Options(frames=2)

EVERYWHERE = pytest.mark.parametrize("where", ["local", pytest.param("slurm", marks=pytest.mark.slurm)])


@pytest.fixture(autouse=True)
def running_slurm(request: pytest.FixtureRequest) -> None:
    """Skips what is marked slurm where none runs."""
    if request.node.get_closest_marker("slurm") is None:
        return
    if not os.environ.get("SLURM_CONF"):
        pytest.skip("no Slurm: SLURM_CONF is not set")
    told = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=False)
    if told.returncode or not told.stdout.strip():
        pytest.skip(f"no Slurm: sinfo says {told.stderr.strip() or 'nothing'}")


@pytest.fixture(autouse=True)
def seen_log() -> None:
    """The log of the command line may have been opened by another test."""
    logging.getLogger("tribetune").setLevel(logging.INFO)


def write_film(path: Path, seconds: int, seed: int) -> Path:
    """Noise of two frames a second, and a tone."""
    pixels = np.random.default_rng(seed).integers(0, 255, (2 * seconds, 32, 32, 3)).astype(np.uint8)
    tone = np.sin(np.arange(seconds * 16000) / (4 + seed))[None].astype(np.float32)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=Fraction(2), options={"preset": "ultrafast"})
        picture.height, picture.width, picture.pix_fmt = 32, 32, "yuv420p"
        track = container.add_stream("aac", rate=16000, layout="mono")
        for frame in pixels:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode(None))
        sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(track.encode(sound))
        container.mux(track.encode(None))
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    return {name: write_film(folder / f"{name}.mp4", 4, seed) for seed, name in enumerate(("one", "two"))}


def job(film: Path, store: Path, modality: str = "audio", options: Options = OPTIONS) -> Job:
    return Job(film.stem, timeline_of_files([film]), modality, "tiny", options, store, "cpu")


def arrays(store: Path) -> dict[str, str]:
    return {path.relative_to(store).as_posix(): hash_file(path) for path in store.rglob("*") if path.is_file()}


def children(pid: int) -> list[int]:
    told = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in told.stdout.split()]


@pytest.mark.slow
@EVERYWHERE
def test_spread_jobs_leave_the_bytes_of_an_extraction_here_and_run_once(
    where: str, films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_GRACE_S", 0.0)  # a job that is taken for lost would fail
    modalities = ["audio", "video"] if where == "slurm" else ["video"]  # every job costs the seconds of its imports
    timelines = {name: timeline_of_files([film]) for name, film in films.items()}
    jobs = jobs_of(timelines, ["text", *modalities], job(films["one"], tmp_path / "store"))
    assert [each.name for each in jobs] == [f"{name} · {modality}" for name in films for modality in modalities]
    jobs[0]()  # is there already, and not submitted
    assert spread(jobs, where, tmp_path / "jobs", SMALL) == len(jobs) - 1
    for timeline in timelines.values():
        extract(timeline, encoders("tiny", OPTIONS), modalities, tmp_path / "here", "cpu")
    assert arrays(tmp_path / "store") == arrays(tmp_path / "here")
    assert len(arrays(tmp_path / "store")) == 2 * len(jobs)
    assert not (tmp_path / "jobs").exists()
    assert spread(jobs, where, tmp_path / "jobs", SMALL) == 0


@pytest.mark.slow
@EVERYWHERE
def test_a_job_that_fails_tells_its_own_error_and_the_others_finish(
    where: str, films: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut = tmp_path / "cut.mp4"
    shutil.copy(films["one"], cut)
    mendable, other = job(cut, tmp_path / "store"), job(films["two"], tmp_path / "store")
    cut.write_bytes(b"no film any more")
    with pytest.raises(FeatureError, match=r"^1 of 2 jobs failed. cut · audio: .*cut.mp4") as told:
        spread([mendable, other], where, tmp_path / "jobs", SMALL)
    with pytest.raises(Exception, match=r"cut.mp4") as here:
        extract(mendable.timeline, encoders("tiny", OPTIONS), ["audio"], tmp_path / "here", "cpu")
    assert str(here.value) in str(told.value)
    assert told.value.hint == getattr(here.value, "hint", None)
    assert "cut · audio failed: " in caplog.text
    assert other.is_complete()
    (logs,) = (tmp_path / "jobs").iterdir()
    assert list(logs.glob("*.err"))


def test_a_fault_that_is_ours_is_no_error_of_the_user(films: dict[str, Path], tmp_path: Path) -> None:
    faulty = job(films["one"], tmp_path, options=Options(chunk_s=(0.0, 0.0)))
    with pytest.raises(RuntimeError, match=r"1 of 1 jobs failed. one · audio: ZeroDivisionError"):
        spread([faulty], "local", tmp_path / "jobs", SMALL)


class Ending(Silent):
    """Ends the jobs from outside, as a node that dies would, when they are first heard of."""

    def __init__(self, where: str) -> None:
        self.where, self.is_done = where, False

    def advance(self, description: str, fraction: float) -> None:  # noqa: ARG002 - any word of progress will do
        if self.is_done:
            return
        self.is_done = True
        if self.where == "slurm":
            subprocess.run(["scancel", "--me", "--name=tribetune"], check=True)
            return
        for controller in children(os.getpid()):
            processes = [*children(controller), controller]
            for pid in processes:
                os.kill(pid, signal.SIGKILL)


@EVERYWHERE
def test_a_job_that_dies_is_not_waited_for(
    where: str, films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_GRACE_S", 0.0)  # this file system is not shared
    with pytest.raises(FeatureError, match="one · audio: it ended without a result; its log is") as told:
        spread([job(films["one"], tmp_path / "store")], where, tmp_path / "jobs", SMALL, Ending(where))
    assert "--mem-gb" in told.value.hint
    assert not arrays(tmp_path / "store")


class Stopping(Silent):
    """Ctrl-C while the jobs run."""

    def advance(self, description: str, fraction: float) -> None:  # noqa: ARG002 - any word of progress will do
        raise KeyboardInterrupt


@EVERYWHERE
def test_ctrl_c_cancels_what_was_submitted_and_says_so(
    where: str, films: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [job(film, tmp_path / "store") for film in films.values()]
    with pytest.raises(KeyboardInterrupt):
        spread(jobs, where, tmp_path / "jobs", SMALL, Stopping())
    assert "2 jobs are cancelled; the same command continues" in caplog.text
    if where == "slurm":
        told = subprocess.run(
            ["squeue", "--me", "--name=tribetune", "--states=R,PD", "--noheader"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert not told.stdout
    assert not arrays(tmp_path / "store")


@pytest.fixture
def ignored_sigint() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignored_sigint")
def test_jobs_of_a_command_that_ignores_ctrl_c_are_cancelled_all_the_same(
    films: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        spread([job(films["one"], tmp_path / "store")], "local", tmp_path / "jobs", SMALL, Stopping())
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert not list((tmp_path / "jobs").rglob("*_result.pkl"))
    assert not arrays(tmp_path / "store")


@pytest.mark.slow
def test_sigterm_ends_a_command_in_the_background_and_its_jobs(films: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tribetune", "features", "extract", str(films["one"]), "--store", str(tmp_path)]
    given = ["--encoders", "tiny", "--modalities", "audio", "--cluster", "local"]
    process = subprocess.Popen(
        [*command, *given],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert process.stderr is not None
    while not children(process.pid):
        assert process.poll() is None, process.stderr.read()
        threading.Event().wait(0.02)
    (controller,) = children(process.pid)
    process.terminate()
    told = process.communicate()[1]
    assert process.returncode == 143, told
    assert "1 jobs are cancelled" in told
    assert told.splitlines()[-1].startswith("Stopped. Run the same command again")
    assert not Path(f"/proc/{controller}").exists()
    assert not list(tmp_path.rglob("*_result.pkl"))


@pytest.mark.slow
def test_an_interrupted_job_goes_on_with_what_it_had(tmp_path: Path) -> None:
    film = write_film(tmp_path / "long.mp4", 120, 5)
    long = job(film, tmp_path / "store", "video", Options(frames=64))
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=5)
    handle = executor.submit(long)
    while not list((tmp_path / "store").rglob("*.npy")):
        assert not handle.done(), handle.stderr()
        threading.Event().wait(0.02)
    (task,) = children(int(handle.job_id))
    os.kill(task, signal.SIGUSR2)  # what Slurm sends before it takes the node away
    assert handle.result() is None
    log = handle.stdout() or ""
    assert log.count("Requeued job") == 1
    assert log.count("Loading pickle") == 2
    unbroken = job(film, tmp_path / "here", "video", Options(frames=64))
    assert unbroken() is None
    assert arrays(tmp_path / "store") == arrays(tmp_path / "here")


def test_what_runs_after_an_interruption_is_the_same_job(films: dict[str, Path], tmp_path: Path) -> None:
    one = job(films["one"], tmp_path)
    again = pickle.loads(pickle.dumps(one.checkpoint()))
    assert again.function == one
    assert not again.args
    assert not again.kwargs


def test_a_machine_without_slurm_or_submitit_is_told_what_to_do(
    films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(films["one"], tmp_path / "store")]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FeatureError, match="no Slurm on this machine") as told:
        spread(jobs, "slurm", tmp_path / "jobs")
    assert "--cluster local" in told.value.hint
    with pytest.raises(FeatureError, match="--cluster sge is not known"):
        spread(jobs, "sge", tmp_path / "jobs")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(FeatureError, match="needs submitit") as told:
        spread(jobs, "local", tmp_path / "jobs")
    assert told.value.hint == "pip install 'tribetune[cluster]'"
    assert not (tmp_path / "jobs").exists()


@pytest.mark.slurm
def test_what_slurm_refuses_is_the_users_to_mend(films: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"slurm refuses the jobs: .*partition") as told:
        spread([job(films["one"], tmp_path / "store")], "slurm", tmp_path / "jobs", Asked(partition="nowhere"))
    assert "--partition" in told.value.hint
    assert not (tmp_path / "jobs").exists()


def test_imported_features_are_nothing_to_extract(films: dict[str, Path], tmp_path: Path) -> None:
    asked = Job("one", timeline_of_files([films["one"]]), "audio", "imported", None, tmp_path, "cpu")
    with pytest.raises(FeatureError, match="imported features have no encoder"):
        spread([asked], "local", tmp_path / "jobs", SMALL)

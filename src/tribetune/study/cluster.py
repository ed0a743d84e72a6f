"""Jobs spread over a cluster, waited for, and told of when they fail."""

import logging
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tribetune.errors import FeatureError
from tribetune.progress import Progress, Silent
from tribetune.study.jobs import CONTINUES, Fault, Job

if TYPE_CHECKING:
    import submitit

log = logging.getLogger(__name__)

_POLL_S = 1.0
_GRACE_S = 30.0
"""A job that left the queue may be this long before its result is seen through a network file system."""

_FAREWELL_S = 20.0
"""How long cancelled processes of this machine are waited for."""

_WARNING_S = 300
"""How long before its time limit a job is told to continue later; a batch of clips is done by then."""


@dataclass(frozen=True)
class Asked:
    """What each job asks of the cluster.

    Parameters
    ----------
    partition : str or None
        None: the cluster's own choice, as for everything below that is None.
    minutes : int
        Time limit; a job that meets it goes on in another turn, ten times at most.
    cpus, gpus : int
    mem_gb : float or None
    at_once : int
        Jobs that may run at the same time.
    """

    partition: str | None = None
    minutes: int = 240
    cpus: int = 4
    gpus: int = 0
    mem_gb: float | None = None
    at_once: int = 16


def spread(
    jobs: Sequence[Job],
    where: str,
    folder: Path,
    asked: Asked | None = None,
    progress: Progress | None = None,
) -> int:
    """Run the jobs whose features are not complete, and wait for all of them.

    Parameters
    ----------
    jobs : sequence of Job
    where : {"slurm", "local"}
        ``slurm``: as one array job. ``local``: as processes of this machine, ``at_once`` at a time.
    folder : Path
        For what is submitted and logged, on a disk that the nodes see; it stays where a job failed or was cancelled.
    asked : Asked or None
    progress : Progress or None

    Returns
    -------
    int
        Jobs that ran.

    Raises
    ------
    FeatureError
        If there is no such cluster, it refuses the jobs, or a job failed by something that can be mended.
    RuntimeError
        If a job failed otherwise.
    KeyboardInterrupt
        If the wait was stopped; the jobs are cancelled.
    """
    asked, progress = asked or Asked(), progress or Silent()
    _check_there(where)
    todo = [job for job in jobs if not job.is_complete()]
    if not todo:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=folder.absolute()))
    progress.step(f"{len(todo)} jobs on {where}: {', '.join(job.name for job in todo[:4])}{' …' * (len(todo) > 4)}")
    try:
        faults = _Crew(where, own, asked, progress).run(todo)
    except FeatureError:
        _remove(own)
        raise
    if faults:
        raise _as_error(faults, len(todo), own)
    _remove(own)
    return len(todo)


@dataclass
class _Sent:
    """A job that was submitted."""

    job: Job
    handle: "submitit.Job[Any]"
    gone_s: float | None = None

    @property
    def has_result(self) -> bool:
        return self.handle.paths.result_pickle.exists()

    @property
    def is_ended(self) -> bool:
        """Whether its process is over; of a job of this machine, where that costs nothing to ask."""
        return self.handle.done()

    def fault(self) -> Fault | None:
        """Why it failed, if it did; to be asked when it is over."""
        if not self.has_result:
            return Fault(
                f"it ended without a result; its log is {self.handle.paths.stderr}",
                f"it may need more memory (--mem-gb) or time (--minutes); {CONTINUES}",
            )
        error = self.handle.exception()
        if error is None:
            return self.handle.result()
        last = str(error).split("-" * 22)[1].strip().splitlines()[-1]  # of the traceback between two such lines
        if "timed-out too many times" in last:
            return Fault("it met its time limit again and again", f"give more --minutes; {CONTINUES}")
        return Fault(last, "", is_ours=True)


class _Crew:
    """Jobs under way on one cluster."""

    def __init__(self, where: str, folder: Path, asked: Asked, progress: Progress) -> None:
        self.where, self.asked, self.progress = where, asked, progress
        self.executor = _executor(where, folder, asked)
        self.running: list[_Sent] = []

    def run(self, jobs: Sequence[Job]) -> list[tuple[Job, Fault]]:
        """Submit and wait; if the wait is stopped, cancel."""
        faults: list[tuple[Job, Fault]] = []
        waiting = list(jobs)
        try:
            while waiting or self.running:
                free = len(waiting) if self.where == "slurm" else self.asked.at_once - len(self.running)
                self._submit(waiting[:free])
                del waiting[:free]
                faults += [(sent.job, fault) for sent in self._finished() if (fault := _told(sent)) is not None]
                done = len(jobs) - len(waiting) - len(self.running)
                self.progress.advance(f"jobs done, of {len(jobs)}", done / len(jobs))
                if self.running:
                    time.sleep(_POLL_S)
        except BaseException:
            self._cancel()
            raise
        return faults

    def _submit(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            with _heeding_sigint(), self.executor.batch():
                handles = [self.executor.submit(job) for job in jobs]
        except (FailedJobError, FailedSubmissionError) as error:
            said = " ".join(line for line in str(error).splitlines() if "error:" in line) or str(error)
            raise FeatureError(
                f"{self.where} refuses the jobs: {said}",
                hint="check --partition, --minutes, --cpus, --gpus and --mem-gb",
            ) from error
        self.running += [_Sent(job, handle) for job, handle in zip(jobs, handles, strict=True)]

    def _finished(self) -> list[_Sent]:
        """Take out those that are over."""
        queued = _queued() if self.where == "slurm" else None
        over = [sent for sent in self.running if sent.has_result or self._is_lost(sent, queued)]
        self.running = [sent for sent in self.running if sent not in over]
        return over

    def _is_lost(self, sent: _Sent, queued: set[str] | None) -> bool:
        """Whether a job without a result is over all the same; `queued` is None where the queue is not known."""
        if self.where == "local":
            return sent.is_ended
        if queued is None or sent.handle.job_id in queued:
            sent.gone_s = None
            return False
        sent.gone_s = sent.gone_s or time.monotonic()
        return time.monotonic() - sent.gone_s > _GRACE_S

    def _cancel(self) -> None:
        for sent in self.running:
            sent.handle.cancel(check=False)
        end_s = time.monotonic() + _FAREWELL_S
        while self.where == "local" and time.monotonic() < end_s and not all(sent.is_ended for sent in self.running):
            time.sleep(_POLL_S / 10)
        if self.running:
            log.warning("%d jobs are cancelled; %s", len(self.running), CONTINUES)


@contextmanager
def _heeding_sigint() -> Generator[None]:
    """Processes that begin meanwhile heed SIGINT, by which submitit cancels them, also where this one ignores it.

    A command in the background of a script, or after ``nohup`` in some shells, ignores it, and its children would, too.
    """
    ignores = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if not ignores or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: None)  # no less ignored here, but a new program begins with the default
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _told(sent: _Sent) -> Fault | None:
    """Say in the log what became of a job."""
    fault = sent.fault()
    if fault is None:
        log.info("%s is done", sent.job.name)
    else:
        log.error("%s failed: %s", sent.job.name, fault.message)
    return fault


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)
    with suppress(OSError):  # another command's jobs keep it
        folder.parent.rmdir()


def _check_there(where: str) -> None:
    if where not in ("slurm", "local"):
        raise FeatureError(f"--cluster {where} is not known", hint="--cluster slurm, or --cluster local")
    try:
        import submitit  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise FeatureError(
            "--cluster needs submitit, which is not installed", hint="pip install 'tribetune[cluster]'"
        ) from error
    logging.getLogger("submitit").setLevel(logging.ERROR)  # it writes to stdout
    if where == "slurm" and not (shutil.which("sbatch") and shutil.which("squeue") and shutil.which("srun")):
        raise FeatureError(
            "no Slurm on this machine: sbatch, squeue and srun are not all there",
            hint="run this on a login node of the cluster, or choose --cluster local",
        )


def _executor(where: str, folder: Path, asked: Asked) -> "submitit.AutoExecutor":
    import submitit

    executor = submitit.AutoExecutor(folder, cluster=where, slurm_max_num_timeout=10)
    wanted = {"name": "tribetune", "timeout_min": asked.minutes, "cpus_per_task": asked.cpus, "mem_gb": asked.mem_gb}
    if asked.gpus:
        wanted["gpus_per_node"] = asked.gpus
    if where == "slurm":
        wanted |= {"slurm_partition": asked.partition, "slurm_array_parallelism": asked.at_once}
        wanted["slurm_signal_delay_s"] = min(_WARNING_S, asked.minutes * 15)
    executor.update_parameters(**{name: value for name, value in wanted.items() if value is not None})
    return executor


def _queued() -> set[str] | None:
    """Names of all jobs of this user that Slurm still has; None while it does not answer."""
    command = [shutil.which("squeue") or "squeue", "--me", "--array", "--noheader", "--format=%i"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - all of it is ours
    return set(told.stdout.split()) if told.returncode == 0 else None


def _as_error(faults: Sequence[tuple[Job, Fault]], n_jobs: int, folder: Path) -> Exception:
    job, fault = next(((job, fault) for job, fault in faults if not fault.is_ours), faults[0])
    message = f"{len(faults)} of {n_jobs} jobs failed. {job.name}: {fault.message}"
    if fault.is_ours:
        return RuntimeError(f"{message} (logs: {folder})")
    return FeatureError(message, hint=fault.hint or f"see the logs in {folder}")

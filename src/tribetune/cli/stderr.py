"""What goes to stderr: our log and warnings through one rich handler, and progress."""

import logging
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tribetune.cli.stop import check_stopped
from tribetune.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PACKAGE = Path(__file__).parent.parent
OUR_LOGGER = "tribetune"


@cache
def console() -> "Console":
    """The one console of stderr, shared by the log and the progress bars so that they do not overwrite each other."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def open_log() -> None:
    """Send our own log and warnings to stderr, and third parties' only when something failed."""
    from rich.logging import RichHandler

    for name in ("TRANSFORMERS_VERBOSITY", "HF_HUB_VERBOSITY"):
        os.environ.setdefault(name, "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after a fork
    handler = RichHandler(console=console(), show_time=False, show_path=False, markup=False)
    handler.addFilter(_is_ours_or_error)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s", force=True)
    logging.getLogger(OUR_LOGGER).setLevel(logging.INFO)
    warnings.showwarning = _log_our_warning  # ty: ignore[invalid-assignment] - it is called by position


@contextmanager
def shown_progress() -> Generator[Progress]:
    """Show progress: bars with the time left on a terminal, one line per step elsewhere."""
    if not console().is_terminal:
        yield Lines()
        return
    from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class TimeLeft(TimeRemainingColumn):
        """Shown only while it is known and not over."""

        def render(self, task: Task) -> Text:
            return Text("") if task.finished or not task.completed else super().render(task) + " left"

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TimeLeft(),
    )
    with Bars(*columns, console=console()) as bars:
        live = Live(bars)
        yield live
        live.finish()


class Lines:
    """Progress for a log file: one line per step and per part of it, when it begins."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def step(self, description: str) -> None:
        """Print the step."""
        check_stopped()
        self.seen = {description}
        console().print(description, markup=False)

    def advance(self, description: str, fraction: float) -> None:  # noqa: ARG002 - a log file needs no bar
        """Print the part of a step when it is first heard of."""
        check_stopped()
        if description not in self.seen:
            self.seen.add(description)
            console().print(f"  {description}", markup=False)


class Live:
    """Progress for a person: a bar per step, and one below it for the part that is under way.

    Parameters
    ----------
    bars : rich.progress.Progress
        Started; whoever started it stops it.
    """

    def __init__(self, bars: "Bars") -> None:
        self.bars = bars
        self.current: tuple[str, TaskID] | None = None
        self.part: tuple[str, TaskID] | None = None

    def step(self, description: str) -> None:
        """Begin a step; the step before it is done."""
        check_stopped()
        self.finish()
        self.current = description, self.bars.add_task(description, total=None)

    def advance(self, description: str, fraction: float) -> None:
        """Move the bar of that name; a name not heard before is the next part of the step."""
        check_stopped()
        if self.current is not None and self.current[0] == description:
            self.bars.update(self.current[1], total=1.0, completed=fraction)
            return
        if self.part is None or self.part[0] != description:
            self._end_part()
            self.part = description, self.bars.add_task(f"  {description}", total=1.0)
        self.bars.update(self.part[1], completed=fraction)

    def finish(self) -> None:
        """Mark the step as done."""
        self._end_part()
        if self.current is not None:
            self.bars.update(self.current[1], total=1.0, completed=1.0)
        self.current = None

    def _end_part(self) -> None:
        if self.part is not None:
            self.bars.remove_task(self.part[1])
        self.part = None


def _is_ours_or_error(record: logging.LogRecord) -> bool:
    return record.name.split(".")[0] == OUR_LOGGER or record.levelno >= logging.ERROR


def _log_our_warning(message: Warning | str, _category: type[Warning], filename: str, *_: Any) -> None:
    """Stand in for ``warnings.showwarning``: third parties' advice is not for our users."""
    if Path(filename).is_relative_to(PACKAGE):
        logging.getLogger(OUR_LOGGER).warning("%s", message)

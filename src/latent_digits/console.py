"""What a person sees while a stage runs: progress, and a sentence when something is wrong.

Nothing here returns a value that a stage could write, so no output depends on this code.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from latent_digits.starting import DONE, interruptible, leave

TERMINAL = Console(stderr=True, highlight=False)
SAID, PROC = Path(".resume/said"), Path("/proc")


class UserError(Exception):
    """A fault that its reader can fix; its text says what was found, expected, and to be done."""


def run_stage(main: Callable[[], None]) -> None:
    """Run `main`; a UserError, Ctrl-C or SIGTERM ends the process with a sentence, no traceback."""
    # On Ctrl-C Dask would report each worker that it loses, which is what was asked for.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        with interruptible():
            require_own_code()
            main()
        DONE.append(0)
    except UserError as error:
        say(f"error: {error}")
        DONE.append(1)
        sys.exit(1)
    except KeyboardInterrupt as error:
        # Not sys.exit: it waits for what could not be closed, such as workers that only start.
        leave(*(error.args or (signal.SIGINT,)))


def require_own_code() -> None:
    """Raise UserError where other code runs than that whose digests `dvc.lock` would get."""
    beside, running = Path("src/latent_digits").resolve(), Path(__file__).resolve().parent
    if beside.exists() and running != beside:
        raise UserError(
            f"the code that runs is that of {running}, not that of this folder; use the "
            "environment that `make` makes here, or set PYTHONPATH=src."
        )


def say(text: str) -> None:
    """A plain line on the error stream, above any progress bar."""
    TERMINAL.print(text, markup=False, soft_wrap=True)


def say_once(text: str) -> None:
    """`say` it, unless a process of this job has: all stages of one `dvc repro` are one job."""
    job = this_job()
    with suppress(OSError):
        before = SAID.read_text(encoding="utf-8").splitlines() if SAID.exists() else []
        if before[:1] != [job]:
            before = [job]
        if text in before:
            return
        SAID.parent.mkdir(exist_ok=True)
        draft = SAID.with_name(f".said-{os.getpid()}")  # another stage may be reading
        draft.write_text("\n".join([*before, text]), encoding="utf-8")
        draft.replace(SAID)
    say(text)


def this_job() -> str:
    """The number of this job's first process, and since when it runs: numbers come again, and in a
    container the first is always 1.
    """
    leader = os.getpgrp()
    try:
        stat = Path(PROC, f"{leader}/stat").read_text(encoding="utf-8")
        boot = Path(PROC, "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{leader} since {stat.rpartition(')')[2].split()[19]} of {boot}"
    except OSError:  # it has ended, or belongs to somebody else
        return str(leader)


class ProgressDisplay:
    """Progress of several pieces of work: a bar each on a terminal, plain lines elsewhere.

    Plain lines come when a piece ends and otherwise at most every `seconds`.
    """

    def __init__(self, stage: str, unit: str = "epoch", seconds: float = 20.0):
        self.stage = stage
        self.unit = unit
        self.seconds = seconds
        self.live = TERMINAL.is_terminal
        self.tasks: dict[str, TaskID] = {}
        self.started: dict[str, float] = {}
        self.printed: dict[str, float] = {}
        self.first: dict[str, tuple[float, int]] = {}  # when a unit was first finished, and which
        self.progress = Progress(
            TextColumn("{task.fields[stage]} [bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[unit]} {task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=TERMINAL,
            disable=not self.live,
        )

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def begin(self, name: str, total: int, done: int = 0) -> None:
        """Show `name` as work of `total` units that starts now, or goes on after `done` of them."""
        self.started[name] = self.printed[name] = time.monotonic()
        self.tasks[name] = self.progress.add_task(
            name,
            total=total,
            completed=done,
            stage=self.stage,
            unit=self.unit,
            note="starting",
            left="",
        )
        if done:
            say(f"{self.stage} {name}: going on after {self.unit} {done} of at most {total}")
        elif not self.live:
            say(f"{self.stage} {name}: at most {total} {self.unit}s")

    def advance(self, name: str, done: int, total: int, note: str) -> None:
        """Show that `done` of at most `total` units are finished; `note` says how it stands."""
        if name not in self.tasks:
            self.begin(name, total)
        now = time.monotonic()
        # Not since it was begun: it may have waited for a worker, and a first unit is a slow one.
        since, before = self.first.setdefault(name, (now, done))
        each = (now - since) / max(1, done - before)
        left = f"at most {duration(each * (total - done))} left" if done > before else ""
        self.progress.update(self.tasks[name], completed=done, total=total, note=note, left=left)
        due = done == total or time.monotonic() - self.printed[name] >= self.seconds
        if not self.live and due:
            self.printed[name] = time.monotonic()
            say(f"{self.stage} {name}: {self.unit} {done}/{total}  {note}  {left}".rstrip())

    def end(self, name: str, note: str) -> None:
        """Show that `name` is finished, perhaps before its last unit."""
        spent = duration(time.monotonic() - self.started[name])
        if name in self.tasks:
            self.progress.update(self.tasks[name], note=note, left="done")
        if not self.live:
            say(f"{self.stage} {name}: done after {spent}  {note}")


def losses(row: dict[str, Any]) -> str:
    """The losses of one history row, as a short text."""
    parts = [("train", "train_loss"), ("val", "val_loss"), ("accuracy", "val_accuracy")]
    return "  ".join(f"{label} {row[key]:.5g}" for label, key in parts if key in row)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 5 s, 1 h 2 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

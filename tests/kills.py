"""The smoke run, killed again and again: `python tests/kills.py 60` kills it sixty times.

Each time SIGKILL ends `dvc repro` and everything that it started, at a random moment of a stage;
`dvc repro` goes on, and in the end every output must be that of an undisturbed run.

Every stage that goes on from what it kept is killed, and one of the others. The first kill tears
what a stage writes, its state and its upload queue among them; a second comes on a search and a
training that go on from what the first has left. That is what a whole study can show, so the tests
run one. Which byte of a file is torn, and that a
training goes on after any epoch, have tests of their own (`test_begin`, `test_resume_cache`,
`test_loop`); more studies meet more moments, and are for whoever changes how a stage keeps its
state.
"""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import yaml

from smoke import PROJECT, environment, scratch_copy

TWICE = ("tune", "train_vae")  # the other trainings go on by the same code
AFRESH = ("evaluate", "plot", "prepare")  # these keep nothing to go on from: one of them a study
Outputs = dict[str, str]  # SHA-256 of each file that a stage writes
Moment = tuple[int, float]  # so many seconds after a stage's line of that index was printed


class Run(NamedTuple):
    """One `dvc repro`: the stage that was killed, what was printed, what followed each line.

    `pauses` are, for each stage, the seconds from each line that it printed to the next.
    """

    killed: str | None
    printed: str
    pauses: dict[str, list[float]]


class Smoke(NamedTuple):
    """A smoke run that was left alone."""

    folder: Path
    run: Run
    outputs: Outputs

    def opened(self) -> list[list[str]]:
        """Stage, "r" or "w", and name of each file that it opened: see `tests/watch`."""
        lines = (self.folder.parent / "opened.tsv").read_text().splitlines()
        return [line.split("\t") for line in lines]


def smoke_run(place: Path) -> Smoke:
    """The one in `place`, which is made where there is none yet; test processes share it."""
    folder, record = place / "project", place / "run.json"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            scratch_copy(folder)
            path = f"{PROJECT / 'tests/watch'}:{folder / 'src'}"
            made = repro(folder, {}, WATCH_LOG=f"{place / 'opened.tsv'}", PYTHONPATH=path)
            record.write_text(json.dumps([made, outputs(folder)]))
    run, files = json.loads(record.read_text())
    return Smoke(folder, Run(*run), files)


def repro(folder: Path, plan: Mapping[str, Moment], **variables: str) -> Run:
    """`dvc repro`, killed at the first moment of `plan` that comes."""
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env=environment(folder) | {"PYTHONUNBUFFERED": "1"} | variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        stage, timer = "", None
        lines: list[str] = []
        times: list[tuple[str, float]] = []
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("Running stage"):
                stage = line.split("'")[1]
            times.append((stage, time.monotonic()))
            index, seconds = plan.get(stage, (-1, 0.0))
            if timer is None and sum(name == stage for name, _ in times) == index + 1:
                timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
                timer.start()
        if timer:
            timer.cancel()
    printed = "".join(lines)
    if process.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(f"dvc repro ended by itself with {process.returncode}:\n{printed}")
    pauses: dict[str, list[float]] = {}
    for (name, before), (_, after) in pairwise([*times, ("", time.monotonic())]):
        pauses.setdefault(name, []).append(after - before)
    return Run(stage if process.returncode else None, printed, pauses)


def kill_loop(place: Path, run: Run, expected: Outputs, kills: int) -> tuple[Counter[str], str]:
    """Run the study in folders of `place`, as often as it takes for at least so many kills.

    `run` is one that was left alone, and `expected` its outputs: a kill comes after any of its
    lines. Returns how often each stage was killed, and what was printed. Raises AssertionError when
    a study ends with other outputs.
    """
    killed: Counter[str] = Counter()
    printed = ""
    seed = 0
    while killed.total() < kills:
        seed += 1
        folder = scratch_copy(place / f"killed-{seed}")
        counts, text = killed_study(folder, run.pauses, random.Random(seed))  # noqa: S311
        if outputs(folder) != expected:
            raise AssertionError(f"killed {dict(counts)}, the outputs differ:\n{text}")
        killed += counts
        printed += text
    return killed, printed


def killed_study(
    folder: Path, pauses: Mapping[str, list[float]], rng: random.Random
) -> tuple[Counter[str], str]:
    """Run the study in `folder` to its end, its stages killed once or twice at most on the way."""
    killed: Counter[str] = Counter()
    printed = ""
    most = dict.fromkeys(pauses, 1) | dict.fromkeys(TWICE, 2) | dict.fromkeys(AFRESH, 0)
    most[rng.choice(AFRESH)] = 1
    while True:
        left = [stage for stage in pauses if killed[stage] < most[stage]]
        command = [sys.executable, "-m", "latent_digits.commands.begin"]  # as `make repro` does
        subprocess.run(command, cwd=folder, env=environment(folder), check=True)
        run = repro(folder, {stage: moment(pauses[stage], rng) for stage in left})
        printed += run.printed
        if run.killed is None:
            return killed, printed
        killed[run.killed] += 1


def moment(pauses: list[float], rng: random.Random) -> Moment:
    """A random moment after a random line: these come while a stage works, not while it starts."""
    index = rng.randrange(len(pauses))
    return index, rng.uniform(0, pauses[index])


def outputs(folder: Path) -> Outputs:
    """What the files are that stages write."""
    found: Outputs = {}
    for stage in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].values():
        for entry in (*stage.get("outs", ()), *stage.get("metrics", ()), *stage.get("plots", ())):
            path = folder / (next(iter(entry)) if isinstance(entry, dict) else entry)
            for file in path.iterdir() if path.is_dir() else [path]:
                found[str(file.relative_to(folder))] = sha256(file.read_bytes()).hexdigest()
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="latent-digits-kills-") as name:
        whole = scratch_copy(Path(name) / "whole")
        run = repro(whole, {})
        killed, printed = kill_loop(Path(name), run, outputs(whole), int(sys.argv[1]))
        print(printed)
        print(f"{killed.total()} kills survived: {dict(killed)}")


if __name__ == "__main__":
    main()

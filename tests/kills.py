"""A tiny study that is killed again and again: `python tests/kills.py 60` kills it sixty times.

Each time SIGKILL ends `dvc repro` and everything that it started, at a random moment of a stage;
`dvc repro` goes on, and in the end every output must be that of an undisturbed run.

Every stage is killed, and twice: the first kill tears what a stage writes, its state and its upload
queue among them; the second comes on a stage that goes on from what the first has left. That is
what a whole study can show, so the tests run one. Which byte of a file is torn, and that a training
goes on after any epoch, have tests of their own (`test_repair`, `test_resume_cache`, `test_loop`);
more studies meet more moments, and are for whoever changes how a stage keeps its state.
"""

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
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from smoke import BUDGETS, environment, merged, scratch_copy

TINY: dict[str, Any] = merged(
    BUDGETS,
    {
        "prepare": {"train": 1000, "val": 200, "test": 200},
        "tune": {
            "epochs": 12,
            "space": {"batch_size": [16, 32]},
            "report_hyperparameters": {"lr": 2.0e-3, "batch_size": 16},
        },
        # After so few steps no training has had its chance: patience.
        "train_ae": {name: {"epochs": 20, "patience": 20} for name in ("ae", "ae_2d")},
        "train_denoise": {"epochs": 20, "patience": 20},
        "train_vae": {name: {"epochs": 12, "batch_size": 16} for name in ("vae", "vae_2d")},
        "finetune": {"head": {"epochs": 20}, "end_to_end": {"epochs": 12}},
    },
)


EACH = 2  # kills of a stage
Moment = tuple[int, float]  # so many seconds after a stage's line of that index was printed


class Run(NamedTuple):
    """One `dvc repro`: the stage that was killed, what was printed, what followed each line.

    `pauses` are, for each stage, the seconds from each line that it printed to the next.
    """

    killed: str | None
    printed: str
    pauses: dict[str, list[float]]


def repro(folder: Path, plan: Mapping[str, Moment]) -> Run:
    """`dvc repro`, killed at the first moment of `plan` that comes."""
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env=environment(folder) | {"PYTHONUNBUFFERED": "1"},
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


def kill_loop(whole: Path, run: Run, kills: int) -> tuple[Counter[str], str]:
    """Run the study beside `whole`, as often as it takes for at least so many kills.

    `run` is that of `whole`: a kill comes after any of its lines. Returns how often each stage was
    killed, and what was printed. Raises AssertionError when a study ends with other outputs than
    `whole`.
    """
    killed: Counter[str] = Counter()
    printed = ""
    seed = 0
    while killed.total() < kills:
        seed += 1
        folder = scratch_copy(whole.with_name(f"killed-{seed}"), TINY)
        counts, text = killed_study(folder, run.pauses, random.Random(seed))  # noqa: S311
        if outputs(folder) != outputs(whole):
            raise AssertionError(f"killed {dict(counts)}, the outputs differ:\n{text}")
        killed += counts
        printed += text
    return killed, printed


def killed_study(
    folder: Path, pauses: Mapping[str, list[float]], rng: random.Random
) -> tuple[Counter[str], str]:
    """Run the study in `folder` to its end, each stage killed `EACH` times at most on the way."""
    killed: Counter[str] = Counter()
    printed = ""
    while True:
        left = [stage for stage in pauses if killed[stage] < EACH]
        command = [sys.executable, "-m", "latent_digits.commands.repair"]  # as `make repro` does
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


def outputs(folder: Path) -> dict[str, bytes]:
    """The content of every file that a stage writes."""
    found: dict[str, bytes] = {}
    for stage in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].values():
        for entry in (*stage.get("outs", ()), *stage.get("metrics", ()), *stage.get("plots", ())):
            path = folder / (next(iter(entry)) if isinstance(entry, dict) else entry)
            files = path.iterdir() if path.is_dir() else [path]
            found |= {str(file.relative_to(folder)): file.read_bytes() for file in files}
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="latent-digits-kills-") as name:
        whole = scratch_copy(Path(name) / "whole", TINY)
        killed, printed = kill_loop(whole, repro(whole, {}), int(sys.argv[1]))
        print(printed)
        print(f"{killed.total()} kills survived: {dict(killed)}")


if __name__ == "__main__":
    main()

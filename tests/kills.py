"""A tiny study that is killed again and again: `python tests/kills.py 60` kills it sixty times.

Each time SIGKILL ends `dvc repro` and everything that it started, at a random moment of a stage;
`dvc repro` goes on, and in the end every output must be that of an undisturbed run.
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
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from smoke import BUDGETS, environment, merged, scratch_copy

TINY: dict[str, Any] = merged(
    BUDGETS,
    {
        "prepare": {"train": 1000, "val": 200, "test": 200},
        "tune": {
            "epochs": 6,
            "space": {"batch_size": [16, 32]},
            "report_design": {"lr": 2.0e-3, "batch_size": 16},
        },
        # After so few steps no training has had its chance: patience.
        "train_ae": {name: {"epochs": 8, "patience": 8} for name in ("ae", "ae_2d")},
        "train_denoise": {"epochs": 8, "patience": 8},
        "train_vae": {name: {"epochs": 8, "batch_size": 16} for name in ("vae", "vae_2d")},
        "finetune": {"head": {"epochs": 8}, "end_to_end": {"epochs": 8}},
    },
)


class Run(NamedTuple):
    """One `dvc repro`: the stage that was killed, what was printed, how long each stage took."""

    killed: str | None
    printed: str
    seconds: dict[str, float]


def repro(folder: Path, plan: Mapping[str, float]) -> Run:
    """`dvc repro`, killed that many seconds after the start of the first stage in `plan`."""
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env=environment(folder) | {"PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        lines: list[str] = []
        began: dict[str, float] = {}
        timer = None
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("Running stage"):
                stage = line.split("'")[1]
                began[stage] = time.monotonic()
                if stage in plan and timer is None:
                    kill = os.killpg, (process.pid, signal.SIGKILL)
                    timer = threading.Timer(plan[stage], *kill)
                    timer.start()
        if timer:
            timer.cancel()
    printed = "".join(lines)
    if process.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(f"dvc repro failed by itself:\n{printed}")
    ends = [*list(began.values())[1:], time.monotonic()]
    seconds = {stage: end - start for (stage, start), end in zip(began.items(), ends, strict=True)}
    return Run(list(began)[-1] if process.returncode else None, printed, seconds)


def kill_loop(whole: Path, seconds: Mapping[str, float], kills: int) -> tuple[Counter[str], str]:
    """Run the study beside `whole`, as often as it takes for so many kills: thrice a stage at most.

    `seconds` says how long each stage takes. Returns how often each was killed, and what was
    printed. Raises AssertionError when a study ends with other outputs than `whole`.
    """
    killed: Counter[str] = Counter()
    printed = ""
    seed = 0
    while killed.total() < kills:
        seed += 1
        folder = scratch_copy(whole.with_name(f"killed-{seed}"), TINY)
        counts, text = killed_study(folder, seconds, kills - killed.total(), random.Random(seed))  # noqa: S311
        if outputs(folder) != outputs(whole):
            raise AssertionError(f"killed {dict(counts)}, the outputs differ:\n{text}")
        killed += counts
        printed += text
    return killed, printed


def killed_study(
    folder: Path, seconds: Mapping[str, float], kills: int, rng: random.Random
) -> tuple[Counter[str], str]:
    """Run the study in `folder` to its end, killed at most so often on the way."""
    killed: Counter[str] = Counter()
    printed = ""
    while True:
        left = [stage for stage in seconds if killed[stage] < 3 and killed.total() < kills]
        run = repro(folder, {stage: rng.uniform(0, 0.8 * seconds[stage]) for stage in left})
        printed += run.printed
        if run.killed is None:
            return killed, printed
        killed[run.killed] += 1


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
        killed, printed = kill_loop(whole, repro(whole, {}).seconds, int(sys.argv[1]))
        print(printed)
        print(f"{killed.total()} kills survived: {dict(killed)}")


if __name__ == "__main__":
    main()

"""A tiny study that is killed again and again: `python tests/kills.py 60` kills it sixty times.

Each time SIGKILL ends `dvc repro` and everything that it started, at a random moment of whatever
stage runs; `dvc repro` goes on, and in the end every output must be that of an undisturbed run.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from smoke import BUDGETS, environment, merged, scratch_copy

TINY: dict[str, Any] = merged(
    BUDGETS,
    {
        "prepare": {"train": 1000, "val": 200, "test": 200},
        "tune": {"epochs": 6, "report_design": {"lr": 2.0e-3, "batch_size": 16}},
        "train_ae": {"ae": {"epochs": 8}, "ae_2d": {"epochs": 8}},
        "train_denoise": {"epochs": 8},
        "finetune": {"head": {"epochs": 8}, "end_to_end": {"epochs": 8}},
    },
) | {"train_vae": {name: {"epochs": 8, "batch_size": 16} for name in ("vae", "vae_2d")}}
TINY["tune"]["space"] = {"batch_size": [16, 32]}
TINY["train_ae"]["ae"]["patience"] = 8  # after so few steps no training has had its chance
TINY["train_ae"]["ae_2d"]["patience"] = 8
LONGEST = 9.0  # seconds from the start of a stage to the kill


def killed_run(folder: Path, seconds: float) -> tuple[str | None, str]:
    """`dvc repro`, killed so long after its first stage began: that stage, and what was printed.

    The stage is None when the run was over before.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env=environment(folder) | {"PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("Running stage") and timer.ident is None:
                timer.start()
        timer.cancel()
    printed = "".join(lines)
    if process.returncode == 0:
        return None, printed
    if process.returncode != -signal.SIGKILL:
        raise AssertionError(f"dvc repro failed by itself:\n{printed}")
    return re.findall(r"Running stage '(\w+)'", printed)[-1], printed


def kill_loop(folder: Path, kills: int, seed: int) -> tuple[Counter[str], str]:
    """Run the study in `folder` to its end in spite of up to `kills` kills.

    Returns how often each stage was killed, and all that was printed.
    """
    rng = random.Random(seed)  # noqa: S311
    killed: Counter[str] = Counter()
    everything = ""
    while True:
        seconds = rng.uniform(0, LONGEST) if killed.total() < kills else 3600
        stage, printed = killed_run(folder, seconds)
        everything += printed
        if stage is None:
            return killed, everything
        killed[stage] += 1


def outputs(folder: Path) -> dict[str, bytes]:
    """The content of every file that a stage writes."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    found = {}
    for stage in stages.values():
        entries = [*stage.get("outs", ()), *stage.get("metrics", ()), *stage.get("plots", ())]
        for entry in entries:
            path = folder / (next(iter(entry)) if isinstance(entry, dict) else entry)
            files = path.rglob("*") if path.is_dir() else [path]
            found |= {str(file.relative_to(folder)): file.read_bytes() for file in files}
    return found


def main() -> None:
    kills = int(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="latent-digits-kills-") as name:
        whole, disturbed = (scratch_copy(Path(name) / part, TINY) for part in ("whole", "killed"))
        subprocess.run(
            [sys.executable, "-m", "dvc", "repro"], cwd=whole, env=environment(whole), check=True
        )
        for seed in range(1000):
            if (left := kills) <= 0:
                break
            killed, _ = kill_loop(disturbed, left, seed)
            kills -= killed.total()
            print(
                f"seed {seed}: {dict(killed)}",
                "same" if outputs(disturbed) == outputs(whole) else "OTHER",
            )


if __name__ == "__main__":
    main()

"""The eight stages on real MNIST with tiny budgets, in a scratch copy: `make smoke`.

The copy has its own DVC cache and its own MLflow data base, so the workspace stays untouched.
"""

import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

import yaml

from latent_digits.commands.verify import environment

PROJECT = Path(__file__).resolve().parent.parent
COPIED = (
    *("dvc.yaml", ".dvcignore", "params.yaml", "stages", "src"),
    *("data/.gitignore", "data/own", "reports/ablation.json", "reports/replicas.json"),
    "reports/verified.json",
)
BUDGETS: dict[str, Any] = {
    "prepare": {"train": 6000, "val": 400, "test": 500},
    "tune": {
        "trials": 4,
        "generation": 2,
        "startup_trials": 2,
        "pruning_warmup": 3,
        "epochs": 3,
        "report_hyperparameters": {"lr": 2.0e-3, "batch_size": 64},  # learns something in 3 epochs
    },
    "train_ae": {"ae": {"epochs": 3}, "ae_2d": {"epochs": 3}, "latent_dims": [4]},
    "train_denoise": {"epochs": 2},
    "train_vae": {"vae": {"epochs": 3}, "vae_2d": {"epochs": 3}},
    "finetune": {"head": {"epochs": 3}, "end_to_end": {"epochs": 3}, "labels": [100]},
    "evaluate": {
        "bootstrap_resamples": 100,
        "paths": 100,
        "denoised_images": 100,
        "noise_strengths": [1.0],
    },
    "plot": {"dpi": 50, "max_points": 300},
}
CONFIG = """
[core]
    no_scm = True
    analytics = false
[cache]
    dir = ../cache
"""


def scratch_copy(folder: Path, budgets: dict[str, Any] = BUDGETS) -> Path:
    """A copy of the project in `folder`, with small budgets."""
    for name in COPIED:
        source, target = PROJECT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            # Numba's compiled code comes along: to make it again takes 15 s and more.
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.pyc"))
        else:
            shutil.copy(source, target)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(merged(params, budgets)))
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(CONFIG)
    return folder


def merged(params: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`params` with the leaves of `changes` in their places."""
    return params | {
        key: merged(params.get(key, {}), value) if isinstance(value, dict) else value
        for key, value in changes.items()
    }


def dvc(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run DVC in `folder`; see `run`."""
    return run(folder, "-m", "dvc", *arguments, **variables)


def stale(folder: Path) -> set[str]:
    """The stages that `dvc repro` would run, asked in this process: DVC is imported only once."""
    from dvc.repo import Repo

    with chdir(folder), Repo() as repo:
        return {stage.name for stage in repo.reproduce(dry=True)}


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` on the copy's own code; `stdout` holds both of its streams."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder) | variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="latent-digits-smoke-") as name:
        folder = scratch_copy(Path(name))
        command = [sys.executable, "-m", "dvc", "repro"]
        done = subprocess.run(command, cwd=folder, env=environment(folder), check=False)
        if done.returncode:
            sys.exit("smoke: the pipeline failed; its output is above.")
        print((folder / "reports/metrics.json").read_text())


if __name__ == "__main__":
    main()

"""Studies in small git repositories, with made-up results: what a comparison compares.

The code and `dvc.yaml` are the project's; weights there are none, as in a fork.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from latent_digits.catalogue import METRICS, MODELS, SERIES
from latent_digits.data.dataset import Dataset
from latent_digits.data.storage import write_csv, write_json, write_tensors
from latent_digits.models.architecture import REPORTS
from latent_digits.preparation.collection import DIGITS
from latent_digits.project.provenance import digest_of, read_study
from latent_digits.project.replicas import recipe_of, summary
from smoke import PROJECT

IMAGES = 400
COPIED = (
    *("dvc.yaml", "params.yaml", "stages", "src", ".gitignore"),
    *("reports/ablation.json", "reports/verified.json"),
)
AVERAGE = {one.name: 98.0 if one.name.endswith("_pct") else 20.0 for one in METRICS}
Changes = Mapping[str, float]


def sync() -> None:
    """`make sync`, which asks MLflow whether anything has changed or not."""
    from latent_digits.commands.sync import SYNCED, main

    Path("mlflow-unsent", SYNCED).unlink(missing_ok=True)
    main()


def study(folder: Path) -> Path:
    """A repository with a branch main, whose one commit has a whole study."""
    for name in COPIED:
        source, target = PROJECT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    none: dict[str, Any] = {"commit": "", "recipe": "", "summary": {}, "rows": {}}
    write_json(folder / "reports/replicas.json", none)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "A")
    git(folder, "config", "user.email", "a@example.org")
    results(folder)
    commit(folder, "a study")
    return folder


def results(folder: Path, changes: Changes | None = None, draw: int = 0, **facts: Any) -> None:
    """Results as the stages would leave them, and the lock that goes with them.

    A headline in `changes` is higher by so much; `draw` is another training of the same recipe,
    `facts` differ in how all headlines are measured.
    """
    changes = changes or {}
    images, training = np.random.default_rng(0), np.random.default_rng([1, draw])
    arrays: dict[str, np.ndarray] = {"labels": (np.arange(IMAGES) % 10).astype(np.uint8)}
    metrics: dict[str, float] = {}
    for one in METRICS:
        by = changes.get(one.name, 0.0) + (0.1 * training.normal() if draw else 0.0)
        if one.name.endswith("_pct"):
            wrong = round(IMAGES * (100 - AVERAGE[one.name] - changes.get(one.name, 0.0)) / 100)
            taken = arrays["labels"].copy()
            taken[:wrong] = (taken[:wrong] + 1) % 10
            arrays[one.name] = taken
            metrics[one.name] = 100.0 * float((taken == arrays["labels"]).mean())
        elif one.name in ("davies_bouldin", "vae_active"):
            metrics[one.name] = AVERAGE[one.name] + by
        else:
            spread = images.normal(0, 2, IMAGES)
            noise = training.normal(0, 0.02, IMAGES) if draw else 0.0
            values = AVERAGE[one.name] + spread - spread.mean() + by + noise
            arrays[one.name] = values.astype(np.float16)
            metrics[one.name] = float(values.mean())
    ways = {one.name: {"way": one.way, "on": one.on, "images": "abc", **facts} for one in METRICS}
    details: dict[str, dict[str, float]] = {"ae": {"val_mse": 0.0045}}
    for one in METRICS:
        details.setdefault(one.group, {})[one.of_group] = metrics[one.name] / one.scale
    reports = folder / "reports"
    write_json(reports / "metrics.json", metrics)
    write_json(reports / "evaluation.json", details)
    write_json(reports / "hyperparameters.json", {"latent_dim": 33})
    write_tensors(reports / "per_image.safetensors", arrays, {"ways": ways})
    write_csv(reports / "trials.csv", ["trial"], [{"trial": 0}])
    for model in (*MODELS, *(f"{series}/10" for series in SERIES)):
        rows = [{"epoch": n, "val_loss": 1.0 / n + 0.01 * draw} for n in range(1, 6)]
        write_csv(reports / f"histories/{model}.csv", ["epoch", "val_loss"], rows)
    write_json(reports / "claims.json", {})
    for name in ("report.md", "report.html", "report.pdf", "explorer.html"):
        (reports / name).write_text("report\n")
    (reports / "figures").mkdir(exist_ok=True)
    (reports / "figures/fig02_reconstructions.png").write_bytes(b"\x89PNG " + bytes([draw]))
    lock(folder, draw)


def lock(folder: Path, draw: int = 0) -> None:
    """A `dvc.lock` that says of every stage that its results are those of the tree."""
    made: dict[str, str] = {}
    stages = {}
    study = read_study(folder)
    for stage in study.stages:
        deps = {
            path: made.get(path) or study.sources.get(path) for path in study.dependencies(stage)
        }
        outs = {
            path: study.digests([path])[path]
            if (folder / path).exists()
            else digest_of([path, 0 if "split" in path else draw])
            for path in study.outputs(stage)
        }
        made |= outs
        stages[stage] = {
            "cmd": study.stages[stage]["cmd"],
            "deps": [{"path": path, "md5": md5} for path, md5 in deps.items()],
            "params": {"params.yaml": study.parameters(stage)},
            "outs": [{"path": path, "md5": md5} for path, md5 in outs.items()],
        }
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def replicas(folder: Path, count: int = 5, sigma: float = 0.1) -> None:
    """`reports/replicas.json` of this recipe, with so much noise between seeds."""
    rng = np.random.default_rng(7)
    rows = {
        str(seed): {
            "metrics": {
                name: AVERAGE[name] + sigma * float(value)
                for name, value in zip(AVERAGE, rng.normal(size=len(AVERAGE)), strict=True)
            },
        }
        for seed in range(1, count + 1)
    }
    recipe = recipe_of(read_study(folder))
    found = {"commit": head(folder)[:7], "recipe": recipe, "rows": rows}
    write_json(
        folder / "reports/replicas.json",
        found | {"summary": summary([one["metrics"] for one in rows.values()])},
    )
    lock_replicas(folder)


def lock_replicas(folder: Path) -> None:
    """Let `dvc.lock` say that the report was made with the present `reports/replicas.json`."""
    path = "reports/replicas.json"
    found = yaml.safe_load((folder / "dvc.lock").read_text())
    (dep,) = (one for one in found["stages"]["plot"]["deps"] if one["path"] == path)
    dep["md5"] = read_study(folder).digests([path])[path]
    (folder / "dvc.lock").write_text(yaml.safe_dump(found))


def parameters(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    change(params)
    path.write_text(yaml.safe_dump(params))


def edit_metrics(folder: Path, **values: float) -> None:
    """As a person would, by hand."""
    path = folder / "reports/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def commit(folder: Path, subject: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", subject)
    return head(folder)


def head(folder: Path) -> str:
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


BUILT = {**asdict(REPORTS), "classes": 10}  # what any model of these tests is built with


def dataset(count: int, seed: int) -> Dataset:
    """Made-up digits, for measures that need some images."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return Dataset(images, np.arange(count) % 10, np.arange(count), "digest", "made up", DIGITS)

"""The entries of the upload queue: what a run says of itself."""

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import safe_open

from latent_digits.data.storage import read_csv, read_json, read_tensors
from latent_digits.project.provenance import Digests, Study, digest, flatten
from latent_digits.tracking.upload_queue import Entry
from latent_digits.training.hyperparameters import Hyperparameters

MODELS, HISTORIES = Path("data/models"), Path("reports/histories")
TRIALS = Path("reports/trials.csv")
SPLIT = "data/split/"
VALIDATION = f"{SPLIT}val.safetensors"
METRICS, EVALUATION = "reports/metrics.json", "reports/evaluation.json"
RESULTS = (METRICS, EVALUATION, "reports/report.html")
HYPERPARAMETERS = "reports/hyperparameters.json"


def study_entry(study: Study) -> Entry:
    """The parent run: all parameters that some stage reads, flattened."""
    parameters = {k: v for stage in study.stages for k, v in study.parameters(stage).items()}
    return {
        "state": study.fingerprint,
        "tags": {"study": study.fingerprint, "mlflow.source.name": "dvc.yaml"} | commit_tags(study),
        "stages": list(study.stages),
        "params": dict(flatten(parameters)),
        "read": study.sources,
    }


def stage_entry(
    study: Study, stage: str, parameters: Mapping[str, Any], dependencies: Digests
) -> Entry:
    """Where a stage's run comes from: commit, command, machine, every dependency's digest."""
    tags = {
        "stage": stage,
        "host": f"{socket.gethostname()}, process {os.getpid()}",
        "mlflow.source.name": sys.argv[0],
    }
    return {
        "stage": stage,
        "tags": tags | commit_tags(study),
        "params": dict(flatten(parameters)) | found_hyperparameters(study, dependencies),
        "read": dependencies,
        "datasets": [
            dataset(study.folder / path, path, md5)
            for path, md5 in dependencies.items()
            if path.startswith(SPLIT)
        ],
    }


def found_hyperparameters(study: Study, dependencies: Digests) -> dict[str, Any]:
    """The hyperparameters that the search found, for a stage that reads them."""
    if HYPERPARAMETERS not in dependencies:
        return {}
    found = read_json(study.folder / HYPERPARAMETERS)
    return {
        f"hyperparameters.{one.name}": found[one.name]
        for one in fields(Hyperparameters)
        if one.name in found
    }


def commit_tags(study: Study) -> dict[str, str]:
    commit, dirty = study.commit
    return {"mlflow.source.git.commit": commit, "git.dirty": str(dirty).lower()}


def dataset(file: Path, path: str, md5: str) -> Entry:
    with safe_open(file, framework="numpy") as tensors:
        count = tensors.get_slice("labels").get_shape()[0]
        about = json.loads(tensors.metadata()["about"])
    of_set = {"set": about["name"], "images": count}
    return {"name": file.stem, "path": path, "md5": md5, **of_set}


def detail(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of `reports/evaluation.json`, under names that MLflow shows as a group apart."""
    return {f"detail/{name}": value for name, value in numbers(evaluation).items()}


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a nested mapping, by dotted names."""
    flat = flatten(values)
    return {name: float(value) for name, value in flat if isinstance(value, int | float)}


def model_entry(weights: Path, dependencies: Digests) -> Entry:
    """A trained model: its bytes, how good it is and on what, and two images to try it on."""
    _, about = read_tensors(weights)
    history = read_csv(HISTORIES / f"{weights.stem}.csv")
    with safe_open(VALIDATION, framework="numpy") as val:
        images = val.get_slice("images")[:2]
    classes = about["classes"] if about["model"] == "classifier" else 0
    return {
        "name": weights.stem,
        "md5": digest(weights),
        "val_loss": min(row["val_loss"] for row in history),
        "validation_set": dependencies[VALIDATION],
        "example": images.tolist(),
        "outputs": [classes] if classes else [*images.shape[1:]],
    }


def end_entry(study: Study, stage: str, status: str, error: str = "") -> Entry:
    """How a stage ended, what it wrote, and what the study holds with it; "" is no stage.

    `results` are the paths of the files for the study, if this stage could see them.
    """
    outputs = study.digests(study.outputs(stage)) if stage and status == "FINISHED" else {}
    made = study.made({stage: outputs} if outputs else {})
    seen = {*study.dependencies(stage), *outputs} if stage else set(study.makers)
    return {
        "stage": stage,
        "status": status,
        "error": error,
        "outputs": outputs,
        "made": made,
        "results": [path for path in RESULTS if path in seen and study.makers[path] in made],
    }


def killed_entry(stage: str) -> Entry:
    """The end of a run whose process could not note it."""
    return {
        "stage": stage,
        "status": "KILLED",
        "error": "the process died",
        "outputs": {},
        "made": {},
        "results": [],
    }

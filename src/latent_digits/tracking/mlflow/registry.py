"""Trained models in MLflow's registry: a version for each set of weights, the best a champion."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Schema, TensorSpec
from mlflow.utils import mlflow_tags

PREFIX = "latent-digits-"
CHAMPION = "champion"
DESCRIPTIONS = {
    "ae": "The autoencoder with the hyperparameters that the search found: an image in, its "
    "reconstruction out.",
    "ae_2d": "An autoencoder at Z = 2, whose latent space can be drawn: an image in, its "
    "reconstruction out.",
    "denoiser": "The autoencoder's network, trained from noisy to clean: a noisy image in, a clean "
    "one out.",
    "vae": "The variational autoencoder at the Z that the search found: an image in, the "
    "reconstruction of its mean out.",
    "vae_2d": "The variational autoencoder at Z = 2, whose latent space can be drawn: an image in, "
    "the reconstruction of its mean out.",
    "classifier": "A small head on the autoencoder's frozen encoder: an image in, the classes' "
    "logits out.",
    "classifier_random_encoder": "A baseline: the classifier's head on an encoder that was not "
    "trained. It does not compete.",
    "classifier_end_to_end": "A baseline: encoder and head trained together, without pretraining. "
    "It does not compete.",
}
BASELINES = ("classifier_random_encoder", "classifier_end_to_end")  # what others are measured by
# What a served model imports: libraries, and rooms beside the hall.
LIBRARIES = ("mlflow", "numba", "numpy", "rich", "safetensors", "torch")
ROOMS = ("data", "engine", "models")


def register(
    client: MlflowClient, run_id: str, weights: Path, code: Path, facts: Mapping[str, Any]
) -> None:
    """Make the weights a version of the model `facts["name"]`, unless one has these bytes.

    The version becomes champion when its validation loss is the least on its validation set; a
    baseline never does.
    """
    name = f"{PREFIX}{facts['name']}"
    found = client.search_model_versions(f"name = '{name}' and tags.weights = '{facts['md5']}'")
    found = found or [new_version(client, run_id, weights, code, name, facts)]
    if facts["name"] not in BASELINES and is_better(found[0], champion_of(client, name)):
        client.set_registered_model_alias(name, CHAMPION, found[0].version)


def new_version(
    client: MlflowClient,
    run_id: str,
    weights: Path,
    code: Path,
    name: str,
    facts: Mapping[str, Any],
) -> ModelVersion:
    """Store a model that needs no pickle, nor this project: weights as safetensors, and its part of
    the package at `code`.
    """
    run = client.get_run(run_id)
    begun = begun_model(client, run, facts["name"])
    linked = {one.model_id for one in run.outputs.model_outputs} if run.outputs else set()
    example = np.array(facts["example"], dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        needed = shutil.copytree(code, Path(folder, code.name), ignore=other_rooms)
        logged = Model.log(
            artifact_path=None,
            model_id=begun.model_id,
            flavor=mlflow.pyfunc,
            run_id=None if begun.model_id in linked else run_id,  # a link that is there is refused
            python_model=str(code / "tracking/mlflow/served.py"),
            code_paths=[str(needed)],
            artifacts={"weights": weights.as_uri()},  # a path would be taken for an address
            signature=signature(example.shape[1:], facts["outputs"]),
            input_example=example,
            pip_requirements=requirements(),
        )
    tags = {
        "weights": facts["md5"],
        "validation_set": facts["validation_set"],
        "val_loss": repr(facts["val_loss"]),
    }
    text = DESCRIPTIONS.get(facts["name"])
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=text)
    made = client.create_model_version(
        name, logged.model_uri, run_id, tags, description=text, model_id=logged.model_id
    )
    link = json.dumps([{"name": name, "version": made.version}])
    client.set_logged_model_tags(logged.model_id, {mlflow_tags.MLFLOW_MODEL_VERSIONS: link})
    return made


def other_rooms(folder: str, names: list[str]) -> list[str]:
    """Which of the names in a folder of the package a served model can do without."""
    return [name for name in names if Path(folder, name).is_dir() and name not in ROOMS]


def requirements() -> list[str]:
    """The libraries at their versions here; of a build such as 2.15.0+cpu the version alone, since
    the package index that a fresh environment asks does not have the build.
    """
    return [f"{library}=={version(library).partition('+')[0]}" for library in LIBRARIES]


def begun_model(client: MlflowClient, run: Run, name: str) -> LoggedModel:
    """The run's model of this name: that of an attempt that failed, else a new one."""
    experiment, run_id = run.info.experiment_id, run.info.run_id
    query = f"name = '{name}' and source_run_id = '{run_id}'"
    found = client.search_logged_models([experiment], query, max_results=1)
    return found[0] if found else client.create_logged_model(experiment, name, run_id)


def versions_of(client: MlflowClient, outputs: Mapping[str, str]) -> list[ModelVersion]:
    """The models whose weights are among `outputs`, digests by path: whoever registered them."""
    return [
        one
        for path, md5 in outputs.items()
        if path.endswith(".safetensors")
        for one in client.search_model_versions(f"tags.weights = '{md5}'")
    ]


def tag_test_metrics(
    client: MlflowClient, versions: Iterable[ModelVersion], groups: Mapping[str, Any]
) -> None:
    """Tag each model with the test metrics under its name in `groups`, but for intervals."""
    for one in versions:
        group = groups.get(one.name.removeprefix(PREFIX))
        for name, value in group.items() if isinstance(group, Mapping) else ():
            if name.startswith("test_") and not name.endswith(("_low", "_high")):
                client.set_model_version_tag(one.name, one.version, name, repr(value))


def signature(image: Sequence[int], outputs: Sequence[int]) -> ModelSignature:
    """Any number of stored images of a shape in; for each an array of shape `outputs` out."""
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *image))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *outputs))]),
    )


def champion_of(client: MlflowClient, name: str) -> ModelVersion | None:
    found = client.get_registered_model(name).aliases.get(CHAMPION)
    return client.get_model_version(name, found) if found else None


def is_better(new: ModelVersion, champion: ModelVersion | None) -> bool:
    """Whether the validation loss is less; on different validation sets nothing can be said."""
    if champion is None:
        return True
    comparable = new.tags["validation_set"] == champion.tags["validation_set"]
    return comparable and float(new.tags["val_loss"]) < float(champion.tags["val_loss"])

"""How MLflow's pages show this study: the columns of its table, and the addresses that open it.

MLflow 3 opens on pages for language models, and its table shows no metric before a person has
chosen it. A shared view is what its button *Share* makes: a tag of the experiment that holds the
choice, and an address with the tag's name.
"""

import json
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from latent_digits.tracking.mlflow.note import headlines

VIEW = "parent_runs"
TAG = f"mlflow.sharedViewState.{VIEW}"
MOST = 12  # columns of metrics, and as many of parameters: more than a screen holds
TRAINING = "workflowType=machine_learning"  # the menu for training, not that for language models


def save_view(client: MlflowClient, experiment: str, parent_runs: Sequence[Run]) -> None:
    """Choose the columns for these parent runs, the latest first; what a person hid comes back."""
    view = json.dumps({"selectedColumns": list(columns(parent_runs))})
    if client.get_experiment(experiment).tags.get(TAG) == view:
        return
    try:
        client.set_experiment_tag(experiment, TAG, view)
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":  # who may only read sees the columns of before
            raise


def columns(parent_runs: Sequence[Run]) -> Iterator[str]:
    """The latest parent run's headline numbers, then the parameters that differ between them."""
    for name in headlines(parent_runs[0].data.metrics if parent_runs else {})[:MOST]:
        yield f"metrics.`{name}`"
    params = [run.data.params for run in parent_runs]
    names = dict.fromkeys(name for values in params for name in values)
    for name in [one for one in names if len({values.get(one) for values in params}) > 1][:MOST]:
        yield f"params.`{name}`"


def addresses(server: str, experiment: str, parent_runs: Sequence[Run]) -> dict[str, str]:
    """What a person may want to open, by what it shows."""
    runs = f"experiments/{experiment}/runs?{TRAINING}&viewStateShareKey={VIEW}"
    found = {"the parent runs": runs}
    if len(parent_runs) > 1:
        two = quote(json.dumps([run.info.run_id for run in parent_runs[:2]]))
        of = quote(json.dumps([experiment]))
        found["the two latest, compared"] = f"compare-runs?runs={two}&experiments={of}&{TRAINING}"
    found["the models"] = "models"
    return {what: f"{server}/#/{path}" for what, path in found.items()}

"""The digests of what a run read and wrote, in one file at the run.

What runs are searched by is a tag besides: `outputs`, and `out.<path>` for each output.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from latent_digits.project.provenance import Digests

FILE = "digests.json"


def log_digests(client: MlflowClient, run_id: str, kinds: Mapping[str, Digests]) -> None:
    """Store md5 by path under each kind: "read", and once it is known "wrote"."""
    client.log_dict(run_id, {kind: dict(found) for kind, found in kinds.items()}, FILE)


def digests_of(client: MlflowClient, run: Run) -> dict[str, Digests]:
    """What the run read and wrote; runs of earlier versions have tags in place of the file."""
    run_id = run.info.run_id
    if FILE not in [one.path for one in client.list_artifacts(run_id)]:
        return {"read": tagged(run, "dep."), "wrote": tagged(run, "out.")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(client.download_artifacts(run_id, FILE, folder))
        return {"read": {}, "wrote": {}} | json.loads(file.read_text(encoding="utf-8"))


def tagged(run: Run, prefix: str) -> Digests:
    tags = sorted(run.data.tags.items())
    return {name.removeprefix(prefix): md5 for name, md5 in tags if name.startswith(prefix)}

"""A stage's run in a real MLflow data base, and how it ends."""

import threading
from pathlib import Path

import pytest

from latent_digits.tracking import EXPERIMENT, StageRun, stage_run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def runs(project: Path):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return client, client.search_runs([experiment.experiment_id])


def test_parameters_metrics_files_and_each_way_to_end(project: Path) -> None:
    history = project / "history.csv"
    history.write_text("epoch\n")
    with stage_run("train", {"ae": {"lr": 0.1, "sizes": [1, 2]}}) as run:
        run.metrics({"ae": {"val_loss": 0.5}}, step=1)
        run.metrics({"ae": {"val_loss": 0.25}}, step=2)
        run.files(history)
    with pytest.raises(ValueError, match="broken"), stage_run("failing", {}):
        raise ValueError("broken")
    with pytest.raises(KeyboardInterrupt), stage_run("stopped", {}):
        raise KeyboardInterrupt

    client, found = runs(project)
    by_name = {run.info.run_name: run for run in found}
    assert {name: run.info.status for name, run in by_name.items()} == {
        "train": "FINISHED",
        "failing": "FAILED",
        "stopped": "KILLED",
    }
    train = by_name["train"]
    assert train.data.params == {"ae.lr": "0.1", "ae.sizes": "[1, 2]"}
    curve = client.get_metric_history(train.info.run_id, "ae.val_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.25)]
    assert [f.path for f in client.list_artifacts(train.info.run_id)] == ["history.csv"]
    assert by_name["failing"].data.tags["error"] == "broken"
    assert (project / "mlartifacts").is_dir()


def test_the_stage_does_not_wait_and_what_fails_is_raised(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()

    def create(run: StageRun, stage: str, parameters: object) -> None:
        may_go_on.wait()
        raise OSError("no server there")

    monkeypatch.setattr(StageRun, "create", create)
    with pytest.raises(OSError, match="no server there"), stage_run("train", {}) as run:
        run.metrics({"val_loss": 0.5}, step=1)  # returns, though nothing can be written yet
        may_go_on.set()

"""A stage's run in a real MLflow data base, and how it ends."""

import threading
from pathlib import Path

import pytest

from latent_digits.console import UserError
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


def test_the_stage_does_not_wait_for_mlflow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, created = threading.Event(), threading.Event()

    def create(run: StageRun, stage: str, parameters: object) -> None:
        may_go_on.wait(30)
        created.set()

    monkeypatch.setattr(StageRun, "create", create)
    with stage_run("train", {}) as run:
        run.metrics({"val_loss": 0.5}, step=1)
        assert not created.is_set()
        may_go_on.set()
    assert created.is_set()


def test_a_missing_server_is_said_once_and_stops_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("latent_digits.tracking.say", said.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://known")
    with stage_run("train", {"lr": 0.1}) as run:
        for step in range(3):
            run.metrics({"val_loss": 0.5}, step=step)
    with pytest.raises(UserError, match="lower the rate"), stage_run("train", {}):
        raise UserError("lower the rate")
    assert len(said) == 2
    assert all("the stage goes on, its run is incomplete" in line for line in said)


def test_a_file_that_cannot_be_sent_leaves_a_failed_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latent_digits.tracking.say", lambda text: None)
    with stage_run("train", {}) as run:
        run.files(project / "missing.csv")
    _, (found,) = runs(project)
    assert found.info.status == "FAILED"
    assert "missing.csv" in found.data.tags["error"]

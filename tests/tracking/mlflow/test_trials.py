"""A search's trials, in MLflow as they end, and completed by the table at the end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latent_digits.data.storage import write_tensors
from latent_digits.tracking.stage_run import stage_run
from toy import PIPELINE, toy_project

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import

TABLE = """\
trial,generation,state,val_mse,epochs,live_units,latent_dim,optimizer,lr,batch_size,dropout,val_mse_1,val_mse_2
0,0,complete,0.06,2,48,33,adam,0.00541,128,0.00119,0.08,0.06
1,0,failed,,0,,5,adam,0.01,64,0.0,,
"""


@pytest.fixture
def sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from latent_digits.tracking.mlflow.sender import Sender

    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(toy_project(tmp_path))
    (tmp_path / "dvc.yaml").write_text(PIPELINE.replace("prepare", "tune"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/split.txt").write_text("an output")
    yield Sender()


def end_trial(run: Any, number: int, state: str, *val_mse: float) -> None:
    """What `searching` does when a trial ends: it is stored, then reported."""
    ended = {"state": state, "val_mse": val_mse, "live_units": 48}
    path = Path(f".state/tune/trial-{number}.safetensors")
    write_tensors(path, {}, {"key": "k", "state": ended, "sha256": "s"})
    run.metrics({"trial": {"val_mse": val_mse[-1]}}, step=number)


def trials(sender: Any) -> dict[str, Any]:
    found = sender.client.search_runs([sender.trials], order_by=["start_time"])
    assert len({run.info.run_name for run in found}) == len(found)  # none is there twice
    return {run.info.run_name: run for run in found}


def sent(sender: Any, run: Any) -> None:
    """As the writer's thread would have, had it come so far."""
    sender.send(run.journal)


@pytest.fixture(autouse=True)
def slow_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests send; the writer's thread does nothing."""
    from latent_digits.tracking import stage_run as tracking

    monkeypatch.setattr(tracking.StageRun, "write", lambda self: None)


def test_a_trial_is_there_when_it_ends_and_has_its_design_at_the_end(
    sender: Any, tmp_path: Path
) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/trials.csv").write_text(TABLE)
    with stage_run("tune", {}) as run:
        end_trial(run, 0, "complete", 0.08, 0.06)
        sent(sender, run)
        (early,) = trials(sender).values()
        assert early.info.status == "FINISHED"
        assert early.data.tags["state"] == "complete"
        assert early.data.metrics == {"val_mse": 0.06, "live_units": 48}
        assert early.data.params == {}
        run.files(Path("reports/trials.csv"))
        sent(sender, run)
    found = trials(sender)
    assert list(found) == ["trial 0", "trial 1"]
    assert found["trial 0"].info.run_id == early.info.run_id
    assert found["trial 0"].data.params["lr"] == "0.00541"
    assert found["trial 1"].info.status == "FAILED"
    curve = sender.client.get_metric_history(early.info.run_id, "val_mse")
    assert [(point.step, point.value) for point in curve] == [(1, 0.08), (2, 0.06)]
    assert sender.client.get_run(run.journal.ids["run"]).data.metrics["trial.val_mse"] == 0.06


def test_a_whole_row_has_the_design_at_once(sender: Any) -> None:
    with stage_run("tune", {}) as run:
        design = {"latent_dim": 33, "optimizer": "adam", "lr": 5.41e-3}
        ended = {"state": "pruned", "epochs": 1, "live_units": None, "val_mse_1": 0.08}
        run.trial({"trial": 3, **ended, **design, "batch_size": 128, "dropout": 0.0})
        sent(sender, run)
    trial = trials(sender)["trial 3"]
    assert trial.info.status == "KILLED"
    assert trial.data.params["lr"] == "0.00541"


@pytest.mark.parametrize("ended", ["killed", "finished"])
def test_a_search_takes_over_the_trials_of_one_that_was_killed(sender: Any, ended: str) -> None:
    first = stage_run("tune", {})
    run = first.__enter__()
    end_trial(run, 0, "complete", 0.08, 0.06)
    if ended == "finished":
        first.__exit__(None, None, None)
        sent(sender, run)
    run.journal.close()  # as a process that dies does
    sender.send_left_behind()
    with stage_run("tune", {}) as again:
        end_trial(again, 0, "complete", 0.08, 0.06)
        end_trial(again, 1, "complete", 0.05)
        sent(sender, again)
    found = sender.client.search_runs([sender.trials])
    assert len(found) == (2 if ended == "killed" else 3)
    own = f"tags.search = '{again.journal.ids['run']}'"
    assert len(sender.client.search_runs([sender.trials], own)) == 2


def test_a_trial_that_was_not_stored_is_said_and_stops_nothing(
    sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("latent_digits.tracking.stage_run.say", said.append)
    with stage_run("tune", {}) as run:
        run.metrics({"trial": {"val_mse": 0.5}}, step=7)
    assert "trial-7.safetensors is missing" in said[0]

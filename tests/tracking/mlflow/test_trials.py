"""A search's trials, in MLflow as they end, and completed by the table at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from latent_digits.tracking.stage_run import stage_run
from toy import PIPELINE, toy_project

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import

TABLE = """\
trial,generation,state,val_mse,epochs,live_units,latent_dim,optimizer,lr,batch_size,dropout,val_mse_1,val_mse_2
0,0,complete,0.06,2,48,33,adam,0.00541,128,0.00119,0.08,0.06
1,0,failed,,0,,5,adam,0.01,64,0.0,,
"""


@pytest.fixture
def sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_base: Callable[[Path], str]
) -> Iterator[Any]:
    from latent_digits.tracking.mlflow.sender import Sender

    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", data_base(tmp_path / "mlflow.db"))
    monkeypatch.chdir(toy_project(tmp_path))
    (tmp_path / "dvc.yaml").write_text(PIPELINE.replace("prepare", "tune"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/split.txt").write_text("an output")
    yield Sender()


HYPERPARAMETERS = {
    "latent_dim": 33,
    "optimizer": "adam",
    "lr": 5.41e-3,
    "batch_size": 128,
    "dropout": 0.0,
}


def end_trial(run: Any, number: int, state: str, *val_mse: float) -> None:
    """What the search says when a trial ends."""
    by_epoch = {f"val_mse_{epoch}": mse for epoch, mse in enumerate(val_mse, start=1)}
    ended = {"state": state, "epochs": len(val_mse), "live_units": 48, **by_epoch}
    run.trial({"trial": number, **ended, **HYPERPARAMETERS})


def trials(sender: Any) -> dict[str, Any]:
    found = sender.client.search_runs([sender.trials], order_by=["start_time"])
    assert len({run.info.run_name for run in found}) == len(found)  # none is there twice
    return {run.info.run_name: run for run in found}


def sent(sender: Any, run: Any) -> None:
    """As the writer's thread would have, had it come so far."""
    sender.send(run.queue)


@pytest.fixture(autouse=True)
def slow_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests send; the writer's thread does nothing."""
    from latent_digits.tracking import stage_run as tracking

    monkeypatch.setattr(tracking.StageRun, "write", lambda self: None)


def test_a_trial_is_there_whole_when_it_ends_and_the_table_adds_the_rest(
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
        assert early.data.params == {name: str(value) for name, value in HYPERPARAMETERS.items()}
        run.trials(Path("reports/trials.csv"))
        sent(sender, run)
    found = trials(sender)
    assert list(found) == ["trial 0", "trial 1"]
    assert found["trial 0"].info.run_id == early.info.run_id
    assert found["trial 0"].data.params == early.data.params
    assert found["trial 1"].info.status == "FAILED"
    assert found["trial 1"].data.params["lr"] == "0.01"
    curve = sender.client.get_metric_history(early.info.run_id, "val_mse")
    assert [(point.step, point.value) for point in curve] == [(1, 0.08), (2, 0.06)]
    artifacts = sender.client.list_artifacts(run.queue.ids["run"])
    assert "trials.csv" in [one.path for one in artifacts]


def test_a_trial_of_which_nothing_is_known_but_its_failure(sender: Any) -> None:
    with stage_run("tune", {}) as run:
        run.trial(
            {"trial": 3, "state": "failed", "epochs": 0, "live_units": None, **HYPERPARAMETERS}
        )
        sent(sender, run)
    trial = trials(sender)["trial 3"]
    assert (trial.info.status, trial.data.metrics) == ("FAILED", {})
    assert trial.data.params["lr"] == "0.00541"


@pytest.mark.parametrize("ended", ["killed", "finished"])
def test_a_search_takes_over_the_trials_of_one_that_was_killed(sender: Any, ended: str) -> None:
    first = stage_run("tune", {})
    run = first.__enter__()
    end_trial(run, 0, "complete", 0.08, 0.06)
    if ended == "finished":
        first.__exit__(None, None, None)
        sent(sender, run)
    run.queue.close()  # as a process that dies does
    sender.send_left_behind()
    with stage_run("tune", {}) as again:
        end_trial(again, 0, "complete", 0.08, 0.06)
        end_trial(again, 1, "complete", 0.05)
        sent(sender, again)
    found = sender.client.search_runs([sender.trials])
    assert len(found) == (2 if ended == "killed" else 3)
    own = f"tags.search = '{again.queue.ids['run']}'"
    assert len(sender.client.search_runs([sender.trials], own)) == 2

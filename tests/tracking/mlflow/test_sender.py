"""Entries into a real MLflow data base: trials, refusals, and what is sent twice."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest

from latent_digits.tracking.upload_queue import Kind, RunQueue, begin_queue
from toy import toy_project

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models

TRIALS = """\
trial,generation,state,val_mse,epochs,live_units,latent_dim,optimizer,lr,batch_size,dropout,val_mse_1,val_mse_2
0,0,complete,0.06,2,48,33,adam,0.00541,128,0.00119,0.08,0.06
1,0,pruned,0.09,1,57,3,sgd,1e-05,64,0.5,0.09,
2,1,degenerate,0.2,2,0,4,sgd,1e-05,64,0.5,0.3,0.2
3,1,failed,,0,,5,adam,0.01,64,0.0,,
"""


@pytest.fixture(scope="module")
def sender(
    tmp_path_factory: pytest.TempPathFactory, data_base: Callable[[Path], str]
) -> Iterator[Any]:
    from latent_digits.tracking.mlflow.sender import Sender

    folder = toy_project(tmp_path_factory.mktemp("sending"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", data_base(folder / "mlflow.db"))
        yield Sender()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RunQueue]:
    study = {
        "state": tmp_path.name,
        "tags": {"study": tmp_path.name, "mlflow.source.git.commit": "", "git.dirty": "false"},
        "stages": ["tune"],
        "params": {"seed": 1},
        "read": {},
    }
    stage = {"stage": "tune", "tags": {"stage": "tune"}, "params": {}, "datasets": [], "read": {}}
    with closing(begin_queue(tmp_path, "tune", study=study, stage=stage)) as queue:
        yield queue


def test_whatever_can_be_noted_can_be_sent(sender: Any) -> None:
    assert sorted(sender.by_kind) == sorted(get_args(Kind))


def test_a_trial_has_its_hyperparameters_its_value_an_epoch_and_its_state(
    sender: Any, queue: RunQueue, tmp_path: Path
) -> None:
    (tmp_path / "trials.csv").write_text(TRIALS)
    queue.add("trials", file=queue.attach(tmp_path / "trials.csv"))
    sender.send(queue)
    query = f"tags.search = '{queue.ids['run']}'"
    found = sender.client.search_runs([sender.trials], query)
    trials = {run.info.run_name: run for run in found}
    assert {name: (run.data.tags["state"], run.info.status) for name, run in trials.items()} == {
        "trial 0": ("complete", "FINISHED"),
        "trial 1": ("pruned", "KILLED"),
        "trial 2": ("degenerate", "FINISHED"),
        "trial 3": ("failed", "FAILED"),
    }
    assert trials["trial 1"].data.params == {
        "latent_dim": "3",
        "optimizer": "sgd",
        "lr": "1e-05",
        "batch_size": "64",
        "dropout": "0.5",
    }
    for run in found:
        assert run.info.end_time >= run.info.start_time
    curve = sender.client.get_metric_history(trials["trial 0"].info.run_id, "val_mse")
    assert [(point.step, point.value) for point in curve] == [(1, 0.08), (2, 0.06)]
    live = {name: run.data.metrics.get("live_units") for name, run in trials.items()}
    assert live == {"trial 0": 48, "trial 1": 57, "trial 2": 0, "trial 3": None}


def test_sent_again_from_the_start_nothing_is_there_twice(
    sender: Any, queue: RunQueue, tmp_path: Path
) -> None:
    (tmp_path / "trials.csv").write_text(TRIALS)
    queue.add("metrics", values={"val_loss": 0.5}, step=1)
    queue.add("trials", file=queue.attach(tmp_path / "trials.csv"))
    sender.send(queue)
    run, study = queue.ids["run"], queue.ids["study"]
    queue.count, queue.ids = 0, {}  # as if the process had died before it noted anything
    sender.send(queue)
    assert queue.ids == {"run": run, "study": study}
    assert len(sender.client.get_metric_history(run, "val_loss")) == 1
    assert len(sender.client.search_runs([sender.trials], f"tags.search = '{run}'")) == 4


END = {"stage": "tune", "status": "FINISHED", "error": "", "outputs": {}, "made": {}, "results": []}


def test_nothing_ends_before_it_began_when_the_clock_was_set_back(
    sender: Any, queue: RunQueue
) -> None:
    queue.add("end", time=1000, **END)
    sender.send(queue)
    for run in map(sender.client.get_run, queue.ids.values()):
        assert run.info.status == "FINISHED"
        assert run.info.end_time == run.info.start_time


def test_another_server_gets_all_of_what_one_got_half_of(
    sender: Any,
    queue: RunQueue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data_base: Callable[[Path], str],
) -> None:
    from latent_digits.tracking.mlflow.sender import Sender

    queue.add("metrics", values={"val_loss": 0.5}, step=1)
    sender.send(queue)
    queue.add("metrics", values={"val_loss": 0.25}, step=2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", data_base(tmp_path / "another.db"))
    another = Sender()
    another.send(queue)
    curve = another.client.get_metric_history(queue.ids["run"], "val_loss")
    assert [point.value for point in curve] == [0.5, 0.25]


def test_a_server_that_lost_its_runs_gets_them_again(sender: Any, queue: RunQueue) -> None:
    """It says that they do not exist, as it would of an entry that it refuses."""
    from mlflow.exceptions import MlflowException

    sender.send(queue)
    queue.ids = dict.fromkeys(queue.ids, "0" * 32)
    queue.add("metrics", values={"val_loss": 0.5}, step=1)
    with pytest.raises(MlflowException, match="not found"):
        sender.send(queue)
    sender.checked = ""  # as one that connects again
    sender.send(queue)
    assert sender.client.get_run(queue.ids["run"]).data.metrics == {"val_loss": 0.5}


def test_what_an_earlier_version_left_in_the_queue_is_sent(sender: Any, tmp_path: Path) -> None:
    """Without the digests that the entries have now."""
    tags = {"study": tmp_path.name, "mlflow.source.git.commit": "", "git.dirty": "false"}
    study = {"state": tmp_path.name, "tags": tags, "stages": ["tune"], "params": {}}
    stage = {"stage": "tune", "tags": {"stage": "tune"}, "params": {}, "datasets": []}
    with closing(begin_queue(tmp_path, "tune", study=study, stage=stage)) as queue:
        queue.add("end", **END)
        sender.send(queue)
        assert sender.client.get_run(queue.ids["run"]).info.status == "FINISHED"


def test_what_is_refused_is_said_and_does_not_stop_the_rest(
    sender: Any, queue: RunQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("latent_digits.tracking.mlflow.sender.say_once", said.append)
    queue.add("metrics", values={"not/a metric?": 1.0}, step=1)
    queue.add("metrics", values={"val_loss": 0.5}, step=1)
    sender.send(queue)
    assert not queue.unsent()
    assert len(said) == 1
    assert "refused metrics" in said[0]
    assert sender.client.get_run(queue.ids["run"]).data.metrics == {"val_loss": 0.5}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("the data base is locked", "INTERNAL_ERROR"),
        ("(psycopg.errors.ReadOnlySqlTransaction) cannot execute INSERT", "BAD_REQUEST"),
        ("(psycopg.errors.InsufficientPrivilege) denied for table", "BAD_REQUEST"),
    ],
)
def test_what_goes_wrong_otherwise_waits(
    sender: Any, queue: RunQueue, monkeypatch: pytest.MonkeyPatch, text: str, code: str
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    def fail(*arguments: Any, **values: Any) -> None:
        raise MlflowException(text, ErrorCode.Value(code))

    queue.add("metrics", values={"val_loss": 0.5}, step=1)
    with monkeypatch.context() as patch:
        patch.setattr(sender, "log_metrics", fail)
        with pytest.raises(MlflowException, match=re.escape(text)):
            sender.send(queue)
    assert [entry["kind"] for entry in queue.unsent()] == ["metrics"]
    sender.send(queue)
    assert not queue.unsent()

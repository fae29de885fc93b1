"""A stage's run in a real MLflow data base, how it ends, and what a dying server changes."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from latent_digits.console import UserError
from latent_digits.tracking import stage_run as tracking
from latent_digits.tracking.addresses import sqlite_address
from latent_digits.tracking.stage_run import StageRun, require_server, stage_run
from servers import Guarded, TrackingServer, listening
from toy import PARAMS, STRANGE, toy_project

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_base: Callable[[Path], str]
) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(tracking, "RETRY_SECONDS", 0.1)
    folder = toy_project(tmp_path / STRANGE)
    data_base(folder / "mlflow.db")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(tracking, "say", lines.append)
    monkeypatch.setattr("latent_digits.console.say", lines.append)
    return lines


def runs(address: str) -> tuple[Any, dict[str, Any]]:
    """A client, and the stages' runs by their names."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("latent-digits")
    found = client.search_runs([experiment.experiment_id])
    return client, {run.info.run_name: run for run in found if "stage" in run.data.tags}


def digests(client: Any, run: Any) -> dict[str, Any]:
    from latent_digits.tracking.mlflow.digests import digests_of

    return digests_of(client, run)


def outputs(project: Path, *paths: str) -> None:
    for path in paths:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("an output")


def test_parameters_metrics_files_and_each_way_to_end(project: Path) -> None:
    outputs(project, "data/split.txt", "data/model.txt")
    history = project / "history.csv"
    history.write_text("epoch\n")
    with stage_run("prepare", {"ae": {"lr": 0.1, "sizes": [1, 2]}}) as run:
        run.metrics({"ae": {"val_loss": 0.5, "train_loss": 0.5}}, step=1)
        run.metrics({"ae": {"val_loss": 0.25, "train_loss": 0.5}}, step=2)
        run.files(history)
    with pytest.raises(ValueError, match="broken"), stage_run("finetune", {}):
        raise ValueError("broken")
    with pytest.raises(KeyboardInterrupt), stage_run("evaluate", {}):
        raise KeyboardInterrupt

    client, by_name = runs(sqlite_address(project / "mlflow.db"))
    assert {name: run.info.status for name, run in by_name.items()} == {
        "prepare": "FINISHED",
        "finetune": "FAILED",
        "evaluate": "KILLED",
    }
    train = by_name["prepare"]
    assert train.data.params == {"ae.lr": "0.1", "ae.sizes": "[1, 2]"}
    curve = client.get_metric_history(train.info.run_id, "ae.val_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.25)]
    (seconds,) = client.get_metric_history(train.info.run_id, "ae.epoch_seconds")
    assert seconds.step == 2
    assert [f.path for f in client.list_artifacts(train.info.run_id)] == [
        "digests.json",
        "history.csv",
    ]
    assert by_name["finetune"].data.tags["error"] == "broken"
    assert digests(client, by_name["finetune"])["read"]["data/split.txt"]
    assert digests(client, train)["wrote"] == {
        "data/split.txt": train.data.tags["out.data/split.txt"]
    }
    assert not [name for one in by_name.values() for name in one.data.tags if name[:4] == "dep."]
    assert (project / "mlartifacts").is_dir()
    assert not list((project / "mlflow-unsent").glob("[!.]*"))
    assert list(project.parent.iterdir()) == [project]


def test_a_training_shows_the_hyperparameters_that_it_was_given(project: Path) -> None:
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    pipeline["stages"]["finetune"]["deps"].append("reports/hyperparameters.json")
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    outputs(project, "data/split.txt", "data/model.txt")
    (project / "reports").mkdir()
    (project / "reports/hyperparameters.json").write_text(
        '{"latent_dim": 39, "lr": 0.0097, "split": "s"}'
    )
    with stage_run("finetune", {"lr": 0.1}):
        pass
    with stage_run("prepare", {}):
        pass
    _, by_name = runs(sqlite_address(project / "mlflow.db"))
    assert by_name["finetune"].data.params == {
        "lr": "0.1",
        "hyperparameters.latent_dim": "39",
        "hyperparameters.lr": "0.0097",
    }
    assert by_name["prepare"].data.params == {}


def test_the_stage_does_not_wait_for_mlflow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs(project, "data/split.txt")
    may_go_on, sent = threading.Event(), []

    class Sender:
        def send(self, queue: Any) -> None:
            sent.extend(entry["kind"] for entry in queue.unsent()[len(sent) :])

    def connected() -> Sender:
        may_go_on.wait(30)
        return Sender()

    monkeypatch.setattr(tracking, "connected", connected)
    with stage_run("prepare", {}) as run:
        run.metrics({"val_loss": 0.5}, step=1)
        assert not sent
        may_go_on.set()
    assert sent == ["study", "stage", "metrics", "end"]


def test_noting_an_epoch_takes_a_thousandth_of_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shortest epochs take 2 s; half of the notes may be slower, on a busy machine."""
    outputs(project, "data/split.txt")
    monkeypatch.setattr(tracking, "connected", lambda: None)
    seconds: list[float] = []
    with stage_run("prepare", {}) as run:
        for epoch in range(1, 51):
            began = time.perf_counter()
            run.metrics({"ae": {"train_loss": 0.5, "val_loss": 0.5}}, step=epoch)
            seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[25] < 0.002


def test_the_models_of_a_stage_share_one_copy_of_the_package(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs(project, "data/split.txt", "data/models/ae", "data/models/vae")
    monkeypatch.setattr(tracking, "model_entry", lambda path, read: {"name": path.name})
    monkeypatch.setattr(tracking, "connected", lambda: None)
    with stage_run("prepare", {}) as run:
        run.model(Path("data/models/ae"))
        run.model(Path("data/models/vae"))
        models = [entry for entry in run.queue.read() if entry["kind"] == "model"]
        assert [entry["name"] for entry in models] == ["ae", "vae"]
        assert len({entry["code"] for entry in models}) == 1
        assert (
            len(list(run.queue.folder.glob("files/*/latent_digits/tracking/mlflow/served.py"))) == 1
        )


def test_a_missing_server_is_said_once_and_stops_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    outputs(project, "data/split.txt")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with stage_run("prepare", {"lr": 0.1}) as run:
        for step in range(3):
            run.metrics({"val_loss": 0.5}, step=step)
        wait_until(lambda: said)
    (line,) = said
    assert line.startswith("mlflow: http://127.0.0.1:9 does not take it")
    assert "the next stage or `make sync`" in line
    with pytest.raises(UserError, match="lower the rate"), stage_run("prepare", {}):
        raise UserError("lower the rate")
    assert len(list((project / "mlflow-unsent").glob("[!.]*"))) == 2


def test_a_parameter_asks_to_stop_where_no_server_answers(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    params = PARAMS | {"tracking": {"required": True}}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match=r"takes no runs .* set tracking\.required: false"):
        StageRun("prepare", {})


@pytest.fixture
def guarded() -> Iterator[str]:
    """The place of a server that asks for a password."""
    with listening(Guarded) as address:
        yield address.removeprefix("http://")


@pytest.mark.parametrize(
    ("user", "variables"),
    [
        ("user:secret@", {}),
        ("", {"MLFLOW_TRACKING_USERNAME": "user", "MLFLOW_TRACKING_PASSWORD": "secret"}),
    ],
)
def test_a_required_server_is_asked_with_the_password_that_mlflow_uses(
    guarded: str, monkeypatch: pytest.MonkeyPatch, user: str, variables: dict[str, str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{user}{guarded}")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    require_server()


@pytest.mark.parametrize("user", ["", "user:another-secret@"])
def test_good_health_is_no_answer_where_the_api_refuses(
    guarded: str, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{user}{guarded}")
    with pytest.raises(UserError, match=f"http://{guarded} takes no runs") as raised:
        require_server()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://host:port",
        "http://[::1",
        "https://user:secret@127.0.0.1:9/x",
        "https://user:secret/with@127.0.0.1:9/x",
        "https://user:with/secret@127.0.0.1:9/x",
        "https://user:with secret@127.0.0.1:9/x",
        "postgresql://user:secret@127.0.0.1:9/x",
        "htp://user:secret@host",
    ],
)
def test_no_address_stops_a_stage_or_tells_its_password(
    project: Path, monkeypatch: pytest.MonkeyPatch, said: list[str], address: str
) -> None:
    outputs(project, "data/split.txt")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with stage_run("prepare", {}):
        pass
    with pytest.raises(UserError, match="takes no runs") as raised:
        require_server()
    assert len(said) == 1
    for line in (*said, str(raised.value)):
        assert "secret" not in line
        assert "\n" not in line


def test_a_file_that_cannot_be_kept_is_said_and_stops_nothing(
    project: Path, said: list[str]
) -> None:
    outputs(project, "data/split.txt")
    with stage_run("prepare", {}) as run:
        run.files(project / "missing.csv")
    assert "missing.csv" in said[0]
    _, by_name = runs(sqlite_address(project / "mlflow.db"))
    assert by_name["prepare"].info.status == "FINISHED"


def test_system_metrics_by_choice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs(project, "data/split.txt")
    monkeypatch.setattr("latent_digits.tracking.mlflow.system_metrics.SECONDS", 0.05)
    params = PARAMS | {"tracking": {"system_metrics": True}}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    noted: list[str] = []

    class Sender:
        def send(self, queue: Any) -> None:
            noted.extend(f"{list(entry.get('values', ''))}" for entry in queue.read())

    monkeypatch.setattr(tracking, "connected", Sender)
    with stage_run("prepare", {}):
        wait_until(lambda: any("system/cpu_utilization_percentage" in names for names in noted))


@pytest.fixture
def server(
    tmp_path_factory: pytest.TempPathFactory, data_base: Callable[[Path], str]
) -> Iterator[TrackingServer]:
    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(folder, data_base(folder / "server.db"))
    server.start()
    yield server
    server.kill()


def test_a_server_that_dies_gets_the_rest_later_in_order_and_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, said: list[str], server: TrackingServer
) -> None:
    from latent_digits.commands.sync import main as sync

    outputs(project, "data/split.txt", "data/model.txt")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    with stage_run("prepare", {"seed": 1}) as run:
        run.metrics({"val_loss": 3.0}, step=1)
        wait_until(lambda: run.queue.count == 3)
        server.kill()
        run.metrics({"val_loss": 2.0}, step=2)
        run.files(project / "data/split.txt")
    with stage_run("finetune", {"lr": 0.1}) as run:
        run.metrics({"val_loss": 1.0}, step=1)
    (line,) = said  # for both stages
    assert line.startswith(f"mlflow: {server.address} does not take it")
    assert "in the upload queue, mlflow-unsent/" in line
    with pytest.raises(UserError, match="nothing is lost"):
        sync()

    server.start()
    sync()
    sync()
    client, by_name = runs(server.address)
    assert {name: run.info.status for name, run in by_name.items()} == {
        "prepare": "FINISHED",
        "finetune": "FINISHED",
    }
    run_id = by_name["prepare"].info.run_id
    curve = client.get_metric_history(run_id, "val_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 3.0), (2, 2.0)]
    assert [one.path for one in client.list_artifacts(run_id)] == ["digests.json", "split.txt"]
    assert len(client.search_runs(["1"])) == 3  # the study, and two stages


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)

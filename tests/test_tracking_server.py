"""A server as teams have one: passwords, a path of its own, PostgreSQL, artifacts through it."""

import os
import urllib.request
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from latent_digits.console import UserError
from latent_digits.project.provenance import digest
from latent_digits.tracking import stage_run as tracking
from latent_digits.tracking.stage_run import require_server, stage_run
from registry import ABOUT, Registry
from servers import ADMIN, GuardedServer, PostgreSQL, basic, free_port
from toy import toy_project

STUDENT = "secret: 100%"
EXPERIMENTS = {"1": "latent-digits", "2": "latent-digits trials"}  # by id

PIPELINE = """
stages:
  finetune:
    cmd: python stages/finetune.py
    deps: [data/split/val.safetensors]
    outs: [data/models/ae.safetensors]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, at import and in its models
]


@pytest.fixture(scope="module")
def stores() -> Iterator[PostgreSQL]:
    """With a data base `tables` that has MLflow's, to be copied."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with PostgreSQL() as stores:
        SqlAlchemyStore(stores.copy("tables"), "mlflow-artifacts:/").engine.dispose()
        yield stores


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stores: PostgreSQL) -> Iterator[GuardedServer]:
    server = GuardedServer(tmp_path_factory.mktemp("server"), stores.copy("runs", of="tables"))
    server.start()
    server.administer("2.0/mlflow/users/create", username="student", password=STUDENT)
    for name in EXPERIMENTS.values():
        server.administer("2.0/mlflow/experiments/create", name=name)
    yield server
    server.kill()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = toy_project(tmp_path / "project")
    (folder / "data").mkdir()
    (folder / "data/split.txt").write_text(f"of {tmp_path}")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(tracking, "RETRY_SECONDS", 0.1)
    monkeypatch.chdir(folder)
    return folder


def prepare() -> None:
    with stage_run("prepare", {"seed": 1}) as run:
        run.metrics({"val_loss": 0.5}, step=1)
        run.files(Path("data/split.txt"))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs one of the commands in this process."""

    def run(name: str, *arguments: str) -> None:
        monkeypatch.setattr("sys.argv", [name, *arguments])
        import_module(f"latent_digits.commands.{name}").main()

    return run


def client() -> Any:
    from latent_digits.tracking.mlflow.server import connect

    return connect()


def stage_runs() -> list[Any]:
    """The runs of just this project's stage."""
    query = f"tags.`out.data/split.txt` = '{digest(Path('data/split.txt'))}'"
    return client().search_runs(["1"], query)


def waiting() -> int:
    """How many runs are still to be sent."""
    return len(list(Path("mlflow-unsent").glob("[!.]*")))


def test_a_login_in_the_address_logs_and_is_told_nowhere(
    server: GuardedServer,
    stores: PostgreSQL,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.known_to("admin", ADMIN))
    prepare()
    command("sync")
    command("lineage", "data/split.txt")
    command("ui", "5000")
    (run,) = stage_runs()
    parent = client().get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["stage.prepare"] == run.info.run_id
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/1/")

    printed = "".join(capsys.readouterr())
    kept = [path for top in (project, server.artifacts) for path in top.rglob("*")]
    records = [path.read_text() for path in kept if path.is_file()]
    assert any(run.info.run_id in str(path) for path in kept)
    for text in (printed, stores.dump("runs"), *records):
        assert ADMIN not in text
        assert quote(ADMIN, safe="") not in text
    links = [line.split()[-1] for line in printed.splitlines() if "/#/" in line]
    assert links
    for link in links:
        assert link.startswith(f"{server.address}/#/")
    request = urllib.request.Request(links[0], headers={"Authorization": basic("admin", ADMIN)})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as page:  # noqa: S310
        assert "<title>MLflow</title>" in page.read().decode()


def test_a_wrong_password_and_a_lacking_permission_lose_nothing(
    server: GuardedServer,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.known_to("student", "wrong"))
    prepare()
    (line,) = capsys.readouterr().err.splitlines()
    assert "it knows no such user with this password; set MLFLOW_TRACKING_USERNAME" in line
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "student")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", STUDENT)
    with pytest.raises(UserError, match=r"lacks a permission.*; nothing is lost"):
        command("sync")
    with pytest.raises(UserError, match=r"takes no runs \(this user lacks a permission"):
        require_server()
    command("ui", "5000")  # may be seen with less
    assert waiting() == 1

    for experiment in EXPERIMENTS:
        server.let_edit("student", "experiment", experiment)
    require_server()
    command("sync")
    assert not waiting()
    (run,) = stage_runs()
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"val_loss": 0.5})


def test_a_full_store_gets_the_model_later_and_once(
    server: GuardedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("registry.ABOUT", {"ae": ABOUT["ae"]})
    monkeypatch.setattr("registry.PIPELINE", PIPELINE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.known_to("admin", ADMIN))
    monkeypatch.setattr(tracking, "RETRY_SECONDS", 0.1)
    monkeypatch.chdir(tmp_path)
    registry = Registry(tmp_path)
    closed = server.artifacts / "1/models"
    closed.parent.mkdir(parents=True, exist_ok=True)
    closed.touch()  # where the server will look for a folder
    registry.train(seed=1, val_loss=0.5)
    (line,) = capsys.readouterr().err.splitlines()
    assert "its artifact store fails; is it full, or closed to the server? (500)" in line
    with pytest.raises(UserError, match="its artifact store fails"):
        command("sync")

    closed.unlink()
    command("sync")
    assert not waiting()
    (model,) = client().search_logged_models(["1"])
    assert model.status == "READY"
    with pytest.raises(SystemExit) as ended:
        command("lineage", "models:/latent-digits-ae@champion", "--verify")
    assert not ended.value.code
    assert "models:/latent-digits-ae/1 (champion)" in capsys.readouterr().out


def test_a_models_second_author_is_told_which_permission_to_ask_for(
    server: GuardedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """MLflow lets whoever registers a model change it, and nobody else."""
    monkeypatch.setattr("registry.ABOUT", {"classifier": ABOUT["classifier"]})
    monkeypatch.setattr(
        "registry.PIPELINE", PIPELINE.replace("ae.safetensors", "classifier.safetensors")
    )
    monkeypatch.setattr(tracking, "RETRY_SECONDS", 0.1)
    monkeypatch.chdir(tmp_path)
    registry = Registry(tmp_path)
    server.administer("2.0/mlflow/users/create", username="assistant", password=STUDENT)
    for experiment in EXPERIMENTS:
        server.let_edit("assistant", "experiment", experiment)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.known_to("admin", ADMIN))
    registry.train(seed=1, val_loss=0.5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.known_to("assistant", STUDENT))
    registry.train(seed=2, val_loss=0.4)
    (line,) = capsys.readouterr().err.splitlines()
    assert "this user lacks a permission, for model-versions/create; ask whoever runs it" in line
    assert waiting() == 1

    server.let_edit("assistant", "registered_model", "latent-digits-classifier")
    command("sync")
    assert not waiting()
    version = client().get_model_version_by_alias("latent-digits-classifier", "champion")
    assert int(version.version) == 2


def test_a_data_base_alone_has_its_artifacts_beside_the_project(
    stores: PostgreSQL,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the copy of an experiment, too, which is deleted. And its password is told to nobody."""
    home = project.parent
    monkeypatch.setenv("DVC_ROOT", str(home))
    address = stores.copy("alone", of="tables")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    prepare()
    command("sync")
    (run,) = stage_runs()
    assert run.info.artifact_uri.startswith((home / "mlartifacts").as_uri())
    assert (home / f"mlartifacts/{run.info.run_id}/artifacts/split.txt").exists()
    assert not (project / "mlruns").exists()

    started: list[str] = []
    monkeypatch.setattr("os.execv", lambda program, arguments: started.extend(arguments))
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "")
    command("ui", f"{free_port()}")
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == address
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stores.address("alone", "store-secrets"))
    with pytest.raises(UserError, match="password authentication failed") as raised:
        command("sync")
    for text in (*started, *capsys.readouterr(), str(raised.value)):
        assert "store-secret" not in text

"""MLflow's SQLite file is there whole, or not at all."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from toy import STRANGE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, at import
]


@pytest.fixture
def server() -> Any:
    from latent_digits.tracking.mlflow import server

    return server


def test_a_new_data_base_is_whole_before_it_has_its_name(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its folder is made."""
    data_base = tmp_path / "all/runs.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///all/runs.db?timeout=60")
    with monkeypatch.context() as killed:
        killed.setattr(server, "SqlAlchemyStore", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.connect()
    assert not data_base.exists()
    assert server.connect().create_experiment("one") == "1"
    assert [path.name for path in tmp_path.rglob("*")] == ["all", "runs.db"]
    assert server.connect().get_experiment_by_name("one") is not None


def test_a_new_data_base_is_set_up_once_by_whoever_comes_first(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process would take the draft away, or replace what was logged already."""
    begun: list[str] = []

    class Slow:
        engine = create_engine("sqlite://")

        def __init__(self, address: str, artifacts: str):
            begun.append(address)
            time.sleep(0.3)

    monkeypatch.setattr(server, "SqlAlchemyStore", Slow)
    threads = [threading.Thread(target=server.set_up, args=[tmp_path / "mlflow.db"]) for _ in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_moved_data_base_finds_its_artifacts_and_logs_beside_itself(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_base: Callable[[Path], str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr(server, "say", said.append)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    old, new = tmp_path / "old's", tmp_path / STRANGE
    old.mkdir()
    data_base(old / "mlflow.db")

    def connected(project: Path) -> Any:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.sqlite_address(project / "mlflow.db"))
        return server.connect()

    client = connected(old)
    artifacts = server.artifacts_of(old / "mlflow.db")
    experiment = client.create_experiment("one", artifacts.as_uri())
    run_id = client.create_run(experiment).info.run_id
    client.log_text(run_id, "written before", "before.txt")
    client.create_experiment("elsewhere", "s3://bucket/mlartifacts")
    connected(old)
    assert not said
    old.rename(new)
    client = connected(new)
    assert len(said) == 1
    assert str(artifacts) in said[0]
    beside = server.artifacts_of(new / "mlflow.db")
    assert (beside / run_id / "artifacts/before.txt").read_text() == "written before"
    assert client.get_run(run_id).info.artifact_uri == f"{beside.as_uri()}/{run_id}/artifacts"
    another = client.create_run(experiment).info.run_id
    client.log_text(another, "written after", "after.txt")
    assert (beside / another / "artifacts/after.txt").read_text() == "written after"
    connected(new)
    assert len(said) == 1
    elsewhere = client.get_experiment_by_name("elsewhere")
    assert elsewhere.artifact_location == "s3://bucket/mlartifacts"
    assert [path.name for path in tmp_path.iterdir()] == [STRANGE]


def test_an_environment_with_a_percent_sign_in_its_path_logs(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(server.package_folder())
    (tmp_path / "My%20Project").mkdir()
    (tmp_path / "My%20Project/mlflow").symlink_to(installed)
    folder = str(tmp_path / "My%20Project/mlflow")
    monkeypatch.setattr(server, "package_folder", lambda: folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'new.db'}")
    assert server.connect().search_experiments()


def interrupted(*arguments: str) -> None:
    raise KeyboardInterrupt


def test_nobody_is_told_that_mlflow_is_used(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests MLflow tells nobody anyway: here it takes itself for used in earnest."""
    from mlflow.telemetry import utils

    monkeypatch.setattr(utils, "_IS_IN_CI_ENV_OR_TESTING", False)
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    assert utils.is_telemetry_disabled()

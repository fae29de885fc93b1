"""MLflow's SQLite file is there whole, or not at all."""

import threading
import time
from pathlib import Path

import pytest

from latent_digits import server


# MLflow's own queries use a loader strategy that SQLAlchemy deprecates.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_a_new_data_base_is_whole_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_base = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{data_base}")
    with monkeypatch.context() as killed:
        killed.setattr(server, "_initialize_tables", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.connect()
    assert not data_base.exists()
    assert server.connect().create_experiment("one") == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    assert server.connect().get_experiment_by_name("one") is not None


def test_a_new_data_base_is_set_up_once_by_whoever_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process would take the draft away, or replace what was logged already."""
    begun: list[object] = []

    def slowly(engine: object) -> None:
        begun.append(engine)
        time.sleep(0.3)

    monkeypatch.setattr(server, "_initialize_tables", slowly)
    threads = [threading.Thread(target=server.set_up, args=[tmp_path / "mlflow.db"]) for _ in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def interrupted(engine: object) -> None:
    raise KeyboardInterrupt

"""The study under further seeds, in a real MLflow data base."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import studies
from latent_digits.console import UserError
from toy import toy_project

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import

ROWS = {
    "1": {"metrics": {"ae.test_mse": 0.004, "classifier.test_accuracy": 0.98}},
    "2": {"metrics": {"ae.test_mse": 0.006, "classifier.test_accuracy": 0.97}},
    "3": {"metrics": {"ae.test_mse": 0.008, "classifier.test_accuracy": 0.99}},
}


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_base: Callable[[Path], str]
) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", data_base(tmp_path / "mlflow.db"))
    monkeypatch.chdir(toy_project(tmp_path))
    (tmp_path / "reports").mkdir()
    return tmp_path


def sync(*rows: str, recipe: str = "r1", commit: str = "abc1234") -> tuple[Any, list[Any]]:
    """`make sync` with these rows in the file; the client, and the runs by age."""
    from latent_digits.tracking.mlflow.sender import SEEDS, Sender

    content = {"commit": commit, "recipe": recipe, "rows": {row: ROWS[row] for row in rows}}
    Path("reports/replicas.json").write_text(json.dumps(content))
    studies.sync()
    client = Sender().client
    experiment = client.get_experiment_by_name(SEEDS).experiment_id
    return client, client.search_runs([experiment], order_by=["start_time"])


def test_a_run_a_seed_and_their_mean_and_spread(project: Path) -> None:
    _, (group, first, second) = sync("1", "2")
    assert [one.info.run_name for one in (group, first, second)] == [
        "replicas of abc1234",
        "seed 1",
        "seed 2",
    ]
    assert {one.info.status for one in (group, first, second)} == {"FINISHED"}
    assert second.data.metrics == ROWS["2"]["metrics"]
    assert {one.data.tags["mlflow.parentRunId"] for one in (first, second)} == {group.info.run_id}
    found = group.data.metrics
    assert found["seeds"] == 2
    assert found["mean/ae.test_mse"] == pytest.approx(0.005)
    assert found["std/ae.test_mse"] == pytest.approx(0.001 * 2**0.5)


def test_twice_is_once_and_a_new_seed_is_added(project: Path) -> None:
    sync("1", "2")
    client, runs = sync("1", "2")
    assert len(runs) == 3
    assert len(client.get_metric_history(runs[1].info.run_id, "ae.test_mse")) == 1
    client, runs = sync("1", "2", "3", commit="def5678")
    assert [one.info.run_name for one in runs[1:]] == ["seed 1", "seed 2", "seed 3"]
    assert runs[0].data.metrics["mean/ae.test_mse"] == pytest.approx(0.006)
    means = client.get_metric_history(runs[0].info.run_id, "mean/ae.test_mse")
    assert [one.step for one in means] == [2, 3]
    _, runs = sync("1", recipe="r2")
    assert len(runs) == 6
    assert "std/ae.test_mse" not in runs[4].data.metrics


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"commit": "abc1234"}', r"replicas\.json is not as `make replicas` writes it \(recipe: "),
        ("{", r"replicas\.json is no readable JSON file"),
    ],
)
def test_another_file_is_a_sentence(project: Path, text: str, sentence: str) -> None:
    from latent_digits.commands.sync import main

    (project / "reports/replicas.json").write_text(text)
    with pytest.raises(UserError, match=sentence):
        main()

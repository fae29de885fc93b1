"""A fresh clone, with results in git and an empty MLflow: what `make sync` makes of it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import studies
from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset, save_dataset
from latent_digits.data.storage import write_csv, write_json
from latent_digits.models.weights import arrays_of, build, save_model
from latent_digits.preparation.collection import DIGITS
from latent_digits.project.provenance import read_study
from latent_digits.tracking.upload_queue import begin_queue
from studies import BUILT

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models

PIPELINE = """
stages:
  tune:
    cmd: python stages/tune.py
    deps: [data/split/val.safetensors]
    params: [seed]
    metrics: [reports/hyperparameters.json]
    plots: [reports/trials.csv]
  train_ae:
    cmd: python stages/train_ae.py
    deps: [data/split/val.safetensors, reports/hyperparameters.json]
    params: [train_ae]
    outs: [data/models/ae.safetensors, data/models/latents]
    plots: [reports/histories/ae.csv, reports/histories/latents]
  evaluate:
    cmd: python stages/evaluate.py
    deps: [data/models/ae.safetensors]
    metrics: [reports/metrics.json, reports/evaluation.json]
"""
HYPERPARAMETERS = {
    "latent_dim": 3,
    "optimizer": "adam",
    "lr": 0.01,
    "batch_size": 64,
    "dropout": 0.0,
}
TRIALS = [
    {
        "trial": 0,
        "state": "complete",
        "val_mse": 0.06,
        "epochs": 1,
        "val_mse_1": 0.06,
        **HYPERPARAMETERS,
    },
    {
        "trial": 1,
        "state": "failed",
        "val_mse": None,
        "epochs": 0,
        "val_mse_1": None,
        **HYPERPARAMETERS,
    },
]
HISTORY = [{"epoch": 1, "train_loss": 0.3, "val_loss": 0.2}, {"epoch": 2, "val_loss": 0.1}]
ABOUT = {"model": "autoencoder", "latent_dim": 3, **BUILT}
MODEL = Path("data/models/ae.safetensors")
IDENTITY = ("-c", "user.name=n", "-c", "user.email=e@example.org")


@pytest.fixture
def clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_base: Callable[[Path], str]
) -> Path:
    """A finished study in git, but for data, that this MLflow does not know."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", data_base(tmp_path / "mlflow.db"))
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text("seed: 1\ntrain_ae: {ae: {epochs: 2}}\n")
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    val = Dataset(images, np.arange(6), np.arange(6), "a split", "MNIST", DIGITS)
    save_dataset(Path("data/split/val.safetensors"), val)
    write_json(
        Path("reports/hyperparameters.json"),
        HYPERPARAMETERS | {"found_by": "search", "split": "a split"},
    )
    write_csv(Path("reports/trials.csv"), list(TRIALS[0]), TRIALS)
    torch.manual_seed(0)
    save_model(MODEL, arrays_of(build(ABOUT)), ABOUT, val)
    write_csv(Path("reports/histories/ae.csv"), list(HISTORY[0]), HISTORY)
    save_model(Path("data/models/latents/4.safetensors"), {}, ABOUT, val)
    write_csv(Path("reports/histories/latents/4.csv"), list(HISTORY[0]), HISTORY)
    write_json(Path("reports/metrics.json"), {"ae_mse_x1000": 4.29})
    write_json(
        Path("reports/evaluation.json"), {"ae": {"test_mse": 0.00429, "test_mse_low": 0.0042}}
    )
    study = read_study(tmp_path)
    lock = {
        stage: {
            "cmd": about["cmd"],
            "deps": listed(study.digests(study.dependencies(stage))),
            "params": {"params.yaml": study.parameters(stage)},
            "outs": listed(study.digests(study.outputs(stage))),
        }
        for stage, about in study.stages.items()
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    Path(".gitignore").write_text("/data\n/mlflow*\n/mlartifacts\n")
    for command in (["init", "-q"], ["add", "."], [*IDENTITY, "commit", "-qm", "the results"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def listed(digests: dict[str, str]) -> list[dict[str, str]]:
    return [{"path": path, "md5": md5} for path, md5 in digests.items()]


class Logged:
    """What MLflow has: all runs, by stage, and the trials'."""

    def __init__(self) -> None:
        from latent_digits.tracking.mlflow.sender import Sender

        sender = Sender()
        self.client = sender.client
        found = self.client.search_runs([sender.experiment])
        self.trials = self.client.search_runs([sender.trials], order_by=["start_time"])
        self.runs = {run.data.tags.get("stage", "study"): run for run in found}
        assert len(self.runs) == len(found)  # none is there twice

    def points(self) -> int:
        """How many values there are in all histories."""
        return sum(
            len(self.client.get_metric_history(run.info.run_id, name))
            for run in (*self.runs.values(), *self.trials)
            for name in run.data.metrics
        )


def sync() -> Logged:
    studies.sync()
    return Logged()


def test_every_stage_has_a_run_with_all_that_its_files_say(clone: Path) -> None:
    logged = sync()
    tune, train_ae, study = (logged.runs[name] for name in ("tune", "train_ae", "study"))
    commit = read_study(clone).commit[0]
    for stage in ("tune", "train_ae", "evaluate"):
        run = logged.runs[stage]
        assert run.info.status == "FINISHED"
        assert run.data.tags["made"] == "elsewhere"
        assert run.data.tags["mlflow.source.git.commit"] == commit
        assert run.data.tags["mlflow.parentRunId"] == study.info.run_id
        assert f"| {stage} | [{run.info.run_id[:7]}]" in study.data.tags["mlflow.note.content"]
    assert [run.info.run_name for run in logged.trials] == ["trial 0", "trial 1"]
    assert [run.data.tags["state"] for run in logged.trials] == ["complete", "failed"]
    assert {run.data.tags["search"] for run in logged.trials} == {tune.info.run_id}
    assert logged.trials[0].data.params == {
        name: str(value) for name, value in HYPERPARAMETERS.items()
    }
    curve = logged.client.get_metric_history(train_ae.info.run_id, "ae.val_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.2), (2, 0.1)]
    assert train_ae.data.params["train_ae.ae.epochs"] == "2"
    assert train_ae.data.params["hyperparameters.lr"] == "0.01"
    assert train_ae.inputs.dataset_inputs[0].dataset.name == "mnist-val"
    artifacts = logged.client.list_artifacts(train_ae.info.run_id)
    assert {one.path for one in artifacts} == {"ae.csv", "digests.json", "latents"}
    artifacts = logged.client.list_artifacts(train_ae.info.run_id, "latents")
    assert {one.path for one in artifacts} == {"latents/4.csv", "latents/4.safetensors"}
    curve = logged.client.get_metric_history(train_ae.info.run_id, "latents/4.val_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.2), (2, 0.1)]


def test_a_state_begins_with_its_numbers_and_has_the_models_of_its_stages(clone: Path) -> None:
    logged = sync()
    study = logged.runs["study"]
    assert study.info.run_name == read_study(clone).commit[0][:7]
    assert study.data.metrics == {
        "ae_mse_x1000": 4.29,
        "detail/ae.test_mse": 0.00429,
        "detail/ae.test_mse_low": 0.0042,
    }
    note = study.data.tags["mlflow.note.content"].splitlines()
    assert note[2] == "| ae_mse_x1000 | 4.29 |"
    assert not [line for line in note if "detail" in line]
    assert "[ae 1](#/models/latent-digits-ae/versions/1)" in "".join(note)
    (own,) = study.outputs.model_outputs
    (childs,) = logged.runs["train_ae"].outputs.model_outputs
    assert own.model_id == childs.model_id
    version = logged.client.get_model_version("latent-digits-ae", "1")
    assert version.tags["test_mse"] == "0.00429"
    assert version.tags["val_loss"] == "0.1"


def test_twice_is_once(clone: Path) -> None:
    first = sync()
    again = sync()
    assert again.points() == first.points()
    assert [run.to_dictionary() for run in again.runs.values()] == [
        run.to_dictionary() for run in first.runs.values()
    ]


@pytest.mark.parametrize(
    "change",
    [
        "nothing",
        "an output is here now",
        "another commit",
        "another seed was trained",
        "something waits",
        "the data base was written",
        "the data base is gone",
        "its artifacts are here now",
        "an output came meanwhile",
    ],
)
def test_mlflow_is_asked_again_when_something_has_changed(
    clone: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latent_digits.commands import sync as command

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    weights = MODEL.read_bytes()
    MODEL.unlink()
    whole = command.send
    if change == "an output came meanwhile":
        monkeypatch.setattr(command, "send", lambda *a: (whole(*a), MODEL.write_bytes(weights)))
    command.main()
    match change:
        case "an output is here now":
            MODEL.write_bytes(weights)
        case "another commit":
            subprocess.run(["git", *IDENTITY, "commit", "-qm", "more", "--allow-empty"], check=True)
        case "another seed was trained":
            Path("reports/replicas.json").write_text("{}")
        case "something waits":
            begin_queue(clone / "mlflow-unsent", "prepare").close()
        case "the data base was written":
            Logged().client.create_experiment("another one")
        case "the data base is gone":
            Path("mlflow.db").unlink()
        case "its artifacts are here now":
            Path("mlartifacts").rename("moved away")
            command.main()
            shutil.rmtree("mlartifacts", ignore_errors=True)
            Path("moved away").rename("mlartifacts")
    asked: list[Any] = []
    monkeypatch.setattr(command, "send_all", asked.append)
    command.main()
    assert len(asked) == (change != "nothing")


def test_a_server_is_asked_always(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from latent_digits.commands import sync as command

    asked: list[Any] = []
    monkeypatch.setattr(command, "send_all", asked.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    for _ in range(2):
        command.main()
    assert len(asked) == 2


def test_what_was_cut_off_is_completed_once(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from latent_digits.tracking.mlflow import trials

    whole = trials.Trials.log

    def dying(self: Any, row: Any, time: int) -> None:
        whole(self, row, time)
        raise ConnectionError("the server went away")

    with monkeypatch.context() as patch:
        patch.setattr(trials.Trials, "log", dying)
        with pytest.raises(UserError, match=r"does not take it .* nothing is lost"):
            sync()
    logged = sync()
    assert set(logged.runs) == {"study", "tune", "train_ae", "evaluate"}
    assert len(logged.trials) == 2
    points = {"trials": 1, "tune": 1, "train_ae": 6, "evaluate": 3, "study": 3}
    assert logged.points() == sync().points() == sum(points.values())
    assert not list(Path("mlflow-unsent").glob("[!.]*"))


def test_a_model_that_comes_later_joins_its_run(clone: Path) -> None:
    weights = MODEL.read_bytes()
    MODEL.unlink()
    before = sync()
    assert not before.client.search_registered_models()
    MODEL.write_bytes(weights)
    after = sync()
    assert after.runs["train_ae"].info.run_id == before.runs["train_ae"].info.run_id
    assert after.points() == before.points()
    (version,) = after.client.search_model_versions("name = 'latent-digits-ae'")
    assert version.run_id == before.runs["train_ae"].info.run_id
    assert len(after.runs["study"].outputs.model_outputs) == 1


def test_a_clone_that_has_less_changes_nothing(clone: Path) -> None:
    """Such as one that was not pulled yet; a shallow one besides takes its commit for another."""
    before = sync()
    weights = MODEL.read_bytes()
    MODEL.unlink()
    subprocess.run(["git", *IDENTITY, "commit", "-q", "--amend", "-m", "other"], check=True)
    for _ in range(2):
        after = sync()
        assert [run.to_dictionary() for run in after.runs.values()] == [
            run.to_dictionary() for run in before.runs.values()
        ]
        MODEL.write_bytes(weights)


def test_a_file_that_is_another_than_the_lock_says_is_not_logged(clone: Path) -> None:
    Path("reports/histories/ae.csv").write_text(json.dumps("changed by hand"))
    logged = sync()
    assert "ae.val_loss" not in logged.runs["train_ae"].data.metrics
    assert not logged.client.search_registered_models()  # nobody knows how good the model is


def test_a_study_that_is_not_finished_is_left_alone(clone: Path) -> None:
    Path("params.yaml").write_text("seed: 2\ntrain_ae: {ae: {epochs: 2}}\n")
    assert not sync().runs

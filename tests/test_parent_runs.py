"""Change X, and `dvc repro`: these runs appear in MLflow, and the new parent run links to those."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.exceptions import ReproductionError
from dvc.repo import Repo

import studies
from smoke import environment
from toy import PARAMS, toy_project

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and in its models


class TrackedStudy:
    """A toy study, its MLflow data base, and what the last `repro` added there."""

    def __init__(self, folder: Path):
        from latent_digits.tracking.mlflow.sender import Sender

        self.folder = folder
        Repo.init(no_scm=True)
        self.sender = Sender()

    def repro(self, params: dict[str, Any], succeeds: bool = True) -> None:
        known = {run.info.run_id for run in self.runs()}
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params))
        # In this process: DVC's own takes longer to start than these stages to run.
        with nullcontext() if succeeds else pytest.raises(ReproductionError), Repo() as repo:
            repo.reproduce()
        self.sender.send_left_behind()
        self.new = [run for run in self.runs() if run.info.run_id not in known]

    def sync(self) -> None:
        studies.sync()

    def runs(self) -> list[Any]:
        return self.sender.client.search_runs([self.sender.experiment])

    def new_stages(self) -> dict[str, str]:
        """The stages that ran, with how they ended."""
        tags = [(run.data.tags.get("stage"), run.info.status) for run in reversed(self.new)]
        return {stage: status for stage, status in tags if stage}

    def new_studies(self) -> list[Any]:
        return [run for run in self.new if "study" in run.data.tags]

    def study(self) -> Any:
        """The present parent run."""
        from latent_digits.project.provenance import read_study

        return self.sender.find(self.sender.experiment, study=read_study(self.folder).fingerprint)

    def linked(self) -> dict[str, bool]:
        """The stages that the present parent run links to, with whether they ran in it."""
        study = self.study()
        ids = {k: v for k, v in study.data.tags.items() if k.startswith("stage.") and v}
        runs = {k.removeprefix("stage."): self.sender.client.get_run(v) for k, v in ids.items()}
        return {
            stage: run.data.tags["mlflow.parentRunId"] == study.info.run_id
            for stage, run in runs.items()
        }


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, data_base: Callable[[Path], str]
) -> Iterator[TrackedStudy]:
    """A study that ran once. The tests of this file go on from there, each from the one before."""
    folder = tmp_path_factory.mktemp("parent_runs") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(toy_project(folder))
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        data_base(folder / "mlflow.db")
        tracked = TrackedStudy(folder)
        tracked.repro(PARAMS)
        yield tracked


ALL = {"prepare": "FINISHED", "finetune": "FINISHED", "evaluate": "FINISHED", "plot": "FINISHED"}


def test_the_first_run_is_a_study_with_a_child_a_stage(first: TrackedStudy) -> None:
    assert first.new_stages() == ALL
    (study,) = first.new_studies()
    assert study.info.status == "FINISHED"
    assert study.data.params == {"seed": "1", "finetune.lr": "0.1", "plot.dpi": "100"}
    assert set(study.data.metrics) == {"ae.mse"}
    artifacts = first.sender.client.list_artifacts(study.info.run_id)
    assert {one.path for one in artifacts} == {"digests.json", "metrics.json", "report.html"}
    assert first.linked() == dict.fromkeys(ALL, True)


HERE, EARLIER = True, False
CHANGES = {
    "nothing": ({}, [], dict.fromkeys(ALL, HERE)),
    "finetune's learning rate": (
        {"finetune": {"lr": 0.2}},
        ["finetune", "evaluate", "plot"],
        {"prepare": EARLIER, "finetune": HERE, "evaluate": HERE, "plot": HERE},
    ),
    "a figure's style": (
        {"plot": {"dpi": 200}},
        ["plot"],
        {"prepare": EARLIER, "finetune": EARLIER, "evaluate": EARLIER, "plot": HERE},
    ),
    "the seed": ({"seed": 2}, list(ALL), dict.fromkeys(ALL, HERE)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_logs_the_stages_that_ran_and_links_the_others(
    first: TrackedStudy, change: str
) -> None:
    params, ran, linked = CHANGES[change]
    first.repro(PARAMS)
    first.repro(PARAMS | params)
    assert list(first.new_stages()) == ran
    assert len(first.new_studies()) == bool(params)
    assert first.linked() == linked


def test_what_dvc_restores_is_not_logged_again_but_linked(first: TrackedStudy) -> None:
    first.repro(PARAMS | {"finetune": {"lr": 0.3}})
    first.repro(PARAMS)
    first.repro(PARAMS | {"finetune": {"lr": 0.3}, "plot": {"dpi": 300}})
    assert list(first.new_stages()) == ["plot"]
    assert first.linked() == {name: name == "plot" for name in ALL}


def test_sync_makes_the_study_of_a_parent_run_that_is_missing_and_then_nothing(
    first: TrackedStudy,
) -> None:
    params = PARAMS | {"finetune": {"lr": 0.4}}
    first.repro(params)
    study = first.study().info.run_id
    first.sender.client.delete_run(study)
    assert first.study() is None
    first.sync()
    assert first.study().info.status == "FINISHED"
    assert first.linked() == dict.fromkeys(ALL, EARLIER)
    before = first.study().to_dictionary()
    first.sync()
    assert first.study().to_dictionary() == before


def test_what_was_made_elsewhere_is_logged_from_its_files(first: TrackedStudy) -> None:
    """As in a fresh clone, whose data base knows nothing of the runs before."""
    first.repro(PARAMS)
    for run in first.runs():
        first.sender.client.delete_run(run.info.run_id)
    first.sync()
    study, runs = first.study(), {run.data.tags.get("stage"): run for run in first.runs()}
    assert set(runs) == {None, *ALL}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {run.data.tags.get("made") for run in runs.values()} - {"elsewhere"} == {
        study.data.tags["made"]
    }
    assert study.data.tags["mlflow.note.content"].count("made elsewhere; logged from") == len(ALL)
    assert first.linked() == dict.fromkeys(ALL, HERE)
    assert runs["evaluate"].data.metrics == study.data.metrics
    assert runs["finetune"].data.params == {"seed": "1", "finetune.lr": "0.1"}
    before = [run.to_dictionary() for run in first.runs()]
    first.sync()
    assert [run.to_dictionary() for run in first.runs()] == before


def test_a_stage_that_ran_stays_beside_those_that_ran_elsewhere(first: TrackedStudy) -> None:
    first.repro(PARAMS)
    for run in first.runs():
        first.sender.client.delete_run(run.info.run_id)
    first.repro(PARAMS | {"plot": {"dpi": 50}})
    assert list(first.new_stages()) == ["plot"]
    first.sync()
    runs = {run.data.tags["stage"]: run for run in first.runs() if "stage" in run.data.tags}
    assert {stage: run.data.tags.get("made") for stage, run in runs.items()} == {
        **dict.fromkeys(ALL, "elsewhere"),
        "plot": None,
    }


def test_the_names_of_parent_runs_say_what_changed(first: TrackedStudy) -> None:
    first.repro(PARAMS)
    first.sync()
    first.repro(PARAMS | {"seed": 9})
    assert first.study().info.run_name == "no commit seed 9"
    (first.folder / "code.txt").write_text("version 1.5")
    first.repro(PARAMS | {"seed": 9})
    assert first.study().info.run_name == "no commit code.txt"
    (first.folder / "code.txt").write_text("version 1")


def test_a_failed_stage_says_why_and_its_study_failed_until_it_is_repaired(
    first: TrackedStudy,
) -> None:
    bad = PARAMS | {"finetune": {"lr": 5}}
    first.repro(bad, succeeds=False)
    assert first.new_stages() == {"finetune": "FAILED"}
    failed = next(run for run in first.new if "stage" in run.data.tags)
    assert failed.data.tags["error"] == "the loss is not finite; lower the learning rate."
    study = first.study()
    assert study.info.status == "FAILED"
    assert "the loss is not finite" in study.data.tags["mlflow.note.content"]
    code = first.folder / "toy.py"  # not a dependency: the parent run stays
    text = code.read_text()
    code.write_text(text.replace('["lr"] > 1', '["lr"] > 9'))
    first.repro(bad)
    code.write_text(text)
    assert first.new_stages() == {
        "finetune": "FINISHED",
        "evaluate": "FINISHED",
        "plot": "FINISHED",
    }
    repaired = first.study()
    assert repaired.info.run_id == study.info.run_id
    assert repaired.info.status == "FINISHED"
    assert "the loss is not finite" not in repaired.data.tags["mlflow.note.content"]


def test_a_killed_stage_is_so_when_the_next_one_runs(first: TrackedStudy) -> None:
    killed = PARAMS | {"finetune": {"lr": -1}}
    first.repro(killed, succeeds=False)
    assert first.new_stages() == {"finetune": "KILLED"}
    assert first.study().info.status == "KILLED"
    first.repro(PARAMS | {"finetune": {"lr": 0.5}})
    assert first.new_stages() == dict.fromkeys(["finetune", "evaluate", "plot"], "FINISHED")


def test_new_code_is_a_new_parent_run(first: TrackedStudy) -> None:
    first.repro(PARAMS)
    (first.folder / "code.txt").write_text("version 2")
    first.repro(PARAMS)
    assert list(first.new_stages()) == ["evaluate", "plot"]
    assert len(first.new_studies()) == 1

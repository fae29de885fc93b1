"""Names of earlier versions: who uses one is told the new one, and an older commit is compared."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

import studies
from latent_digits.comparison.assembly import compared
from latent_digits.comparison.gate import INCOMPARABLE
from latent_digits.comparison.revisions import committed, working_tree
from latent_digits.console import UserError
from latent_digits.data.storage import read_tensors, write_tensors
from latent_digits.project import renamed
from latent_digits.project.params import load_params
from latent_digits.project.provenance import read_study
from latent_digits.project.replicas import recipe_of
from latent_digits.tracking.mlflow.trials import Trials
from smoke import PROJECT

AS_CODED = "denoiser_as_coded_mse_e3"
BEFORE = {  # as they stand in files, the longer ones first
    AS_CODED: "harsh_mse_e3",
    "as_coded_test_mse": "harsh_test_mse",
    "report_hyperparameters": "report_design",
    "hyperparameters.json": "design.json",
    "as_described": "text",
    "as_coded": "harsh",
    "figure_3": "panel",
}


@pytest.mark.parametrize("key", renamed.PARAMETERS)
def test_a_parameter_of_old_is_refused_with_its_name_of_now(tmp_path: Path, key: str) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    section, old = key.split(".")
    now = renamed.PARAMETERS[key]
    params[section][old] = params[section].pop(now.partition(".")[2])
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    with pytest.raises(UserError) as error:
        load_params(path)
    assert f"{error.value}" == f"{path}: {key} is called {now} now; rename it there."


def older(folder: Path) -> None:
    """The study in `folder` under the names of before."""
    reports = folder / "reports"
    (reports / "hyperparameters.json").rename(reports / "design.json")
    arrays, about = read_tensors(reports / "per_image.safetensors")
    for of in (arrays, about["ways"]):
        of["harsh_mse_e3"] = of.pop(AS_CODED)
    write_tensors(reports / "per_image.safetensors", arrays, about)
    for path in (folder / "params.yaml", folder / "dvc.yaml", *reports.glob("*.json")):
        text = path.read_text()
        for now, before in BEFORE.items():
            text = text.replace(now, before)
        path.write_text(text)
    studies.lock(folder)


def test_a_commit_with_the_old_names_is_compared_in_all_else(tmp_path: Path) -> None:
    studies.study(tmp_path)
    studies.git(tmp_path, "checkout", "--quiet", "-b", "older")
    older(tmp_path)
    studies.commit(tmp_path, "the names of before")
    before = recipe_of(read_study(tmp_path))
    (tmp_path / "reports/design.json").write_text('{"latent_dim": 34}\n')
    assert recipe_of(read_study(tmp_path)) != before  # the old file's content counts as well
    studies.git(tmp_path, "checkout", "--quiet", "--force", "main")

    with committed(tmp_path, "older") as base:
        found = compared(base, working_tree(tmp_path))
        assert base.recipe == before

    verdicts = {row.name: row.verdict for row in found.metrics}
    assert verdicts.pop("harsh_mse_e3") == "gone"
    assert verdicts.pop(AS_CODED) == "new"
    assert {*verdicts.values()} == {"same"}
    assert found.gate.exit == INCOMPARABLE
    assert found.gate.reasons == ["harsh_mse_e3 cannot be compared: it is gone."]
    parameters = {one.name: (one.base, one.head) for one in found.parameters}
    assert parameters["noise.harsh.salt_pepper"] == ("0.1", None)
    assert parameters["noise.as_coded.salt_pepper"] == (None, "0.1")


def test_a_trial_that_waits_in_the_queue_with_a_state_of_old_is_sent() -> None:
    client = Mock()
    client.search_runs.return_value = []
    client.create_run.return_value.info.status = "RUNNING"
    client.create_run.return_value.info.start_time = 0
    client.create_run.return_value.data.params = {}
    row = {"trial": "1", "state": "collapsed", "epochs": "1", "val_mse_1": "0.2"}
    Trials(client, "experiment", "study", "search").log(row, 0)
    ((_, _, _, (tag,)), _) = client.log_batch.call_args
    assert (tag.key, tag.value) == ("state", "degenerate")
    assert client.set_terminated.call_args.args[1] == "FINISHED"

"""The study under other seeds: what is kept, and what begins anew. See `test_pipeline` too."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from latent_digits.commands import replicas
from latent_digits.commands.replicas import begun, require_current
from latent_digits.console import UserError
from latent_digits.project.provenance import read_study
from latent_digits.project.replicas import recipe_of, summary
from studies import commit, head, lock, parameters, study


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("study") / "project")


@pytest.fixture
def project(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = shutil.copytree(pristine, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def recipe(folder: Path) -> str:
    return recipe_of(read_study(folder))


@pytest.mark.parametrize(
    ("section", "values", "same"),
    [
        ("tune", {"trials": 3}, True),  # its hyperparameters count, not how they were found
        ("plot", {"dpi": 99}, True),
        ("train_vae", {"vae": {"epochs": 7}}, False),
        ("evaluate", {"active_unit_variance": 0.5}, False),
    ],
)
def test_a_recipe_is_what_quality_follows_from_but_the_seed(
    project: Path, section: str, values: dict[str, Any], same: bool
) -> None:
    before = recipe(project)
    parameters(project, lambda params: params.update(seed=5))
    assert recipe(project) == before
    parameters(project, lambda params: params[section].update(values))
    assert (recipe(project) == before) == same


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("src/latent_digits/models/networks.py", False),
        ("reports/hyperparameters.json", False),
        ("src/latent_digits/report/figures/style.py", True),
        ("src/latent_digits/tracking/mlflow/sender.py", True),
    ],
)
def test_a_recipe_is_code_and_hyperparameters(project: Path, path: str, same: bool) -> None:
    before = recipe(project)
    with (project / path).open("a") as file:
        file.write("\n")
    assert (recipe(project) == before) == same


def test_rows_of_another_recipe_begin_anew(project: Path) -> None:
    here = read_study(project)
    found = begun(here)
    assert found["rows"] == {}
    row = {"metrics": {"ae_mse_e3": 4.0}, "details": {}}
    known = found | {"rows": {"1": row}, "summary": summary([row["metrics"]])}
    Path("reports/replicas.json").write_text(json.dumps(known))
    assert begun(here) == known
    parameters(project, lambda params: params["finetune"].update(hidden=7))
    assert begun(read_study(project))["rows"] == {}


@pytest.mark.parametrize(
    ("draw", "values", "file_at", "kept"),
    [
        (0, {}, "", True),
        (0, {"labels": [10]}, "", True),  # the models before had none to read
        (0, {"hidden": 7}, "", False),
        (1, {}, "", False),  # other histories
        (0, {}, " with changes", False),
    ],
)
def test_rows_are_kept_where_other_code_makes_the_same_models(
    project: Path, draw: int, values: dict[str, Any], file_at: str, kept: bool
) -> None:
    parameters(project, lambda params: params["finetune"].pop("labels"))
    lock(project)
    commit(project, "before")
    name = f"{head(project)[:7]}{file_at}"
    row = {"metrics": {"ae_mse_e3": 4.0}, "details": {}}
    known = {"commit": name, "recipe": recipe(project), "summary": {}, "rows": {"1": row}}
    Path("reports/replicas.json").write_text(json.dumps(known))
    assert begun(read_study(project)) == known

    with Path("src/latent_digits/models/networks.py").open("a") as file:
        file.write("# The same in other words.\n")
    parameters(project, lambda params: params["finetune"].update(values))
    assert begun(read_study(project))["rows"] == {}  # what it makes of its own seed is not known
    if draw:
        Path("reports/histories/ae.csv").write_text("epoch,val_loss\n1,0.3\n")
    lock(project, draw)
    found = begun(read_study(project))
    assert found["recipe"] == recipe(project) != known["recipe"]
    assert found["rows"] == (known["rows"] if kept else {})
    assert found["commit"] == name or not kept


def test_seeds_of_a_commit_that_is_not_here_are_not_thrown_away(project: Path) -> None:
    commit(project, "before")
    row = {"metrics": {"ae_mse_e3": 4.0}, "details": {}}
    known = {"commit": "0123456", "recipe": "another", "summary": {}, "rows": {"1": row}}
    Path("reports/replicas.json").write_text(json.dumps(known))
    with pytest.raises(UserError, match=r"0123456, which is not here, .* fetch --unshallow"):
        begun(read_study(project))


def test_seeds_that_were_measured_otherwise_begin_anew(project: Path) -> None:
    row = {"metrics": {"ae_mse_e3": 4.0}, "details": {}}
    known = {"commit": head(project)[:7], "recipe": "another", "summary": {}, "rows": {"1": row}}
    Path("reports/replicas.json").write_text(json.dumps(known))
    assert begun(read_study(project))["rows"] == known["rows"]
    details = json.loads(Path("reports/evaluation.json").read_text())
    details["ae"]["val_mse"] += 0.001
    Path("reports/evaluation.json").write_text(json.dumps(details))
    lock(project)
    assert begun(read_study(project))["rows"] == {}


def test_a_hyperparameters_of_other_code_is_refused(project: Path) -> None:
    require_current(read_study(project))
    parameters(project, lambda params: params["tune"].update(trials=3))
    with pytest.raises(UserError, match="tune has results of other code or parameters"):
        require_current(read_study(project))
    lock(project)
    require_current(read_study(project))


def test_of_one_seed_there_is_no_deviation() -> None:
    one, other = {"a": 1.0}, {"a": 3.0}
    assert summary([one]) == {"a": {"mean": 1.0, "deviation": None}}
    assert summary([one, other]) == {"a": {"mean": 2.0, "deviation": pytest.approx(2**0.5)}}


@pytest.mark.parametrize("text", ["0", "-1", "five", "1e9", "1001", ""])
def test_a_number_of_seeds_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["replicas", "--", text])
    with pytest.raises(UserError, match=r"it should be a number of seeds, 1 to 1000"):
        replicas.number_of_seeds()


def test_what_seeds_there_are() -> None:
    """The numbers from 1 on, without the study's own: anyone can repeat one with -S seed=1."""
    assert replicas.seeds_beside(2, 3) == [1, 3, 4]
    assert replicas.seeds_beside(20210622, 2) == [1, 2]

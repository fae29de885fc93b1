"""The code that runs is the code whose digests are recorded, wherever the project lies."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smoke import PROJECT

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  prepare:
    cmd: python stages/prepare.py
    deps: [stages/prepare.py, src/latent_digits/catalogue.py]
    metrics: [reports/models.json: {cache: false}]
"""
STAGE = """
import json
from pathlib import Path

from latent_digits.catalogue import MODELS
from latent_digits.console import run_stage
from latent_digits.training.workers import workers
from where import models


def main() -> None:
    with workers(1) as pool:
        (found,) = dict(pool.run({"one": (models,)}, print)).values()
    Path("reports").mkdir(exist_ok=True)
    models_here = {"here": next(iter(MODELS)), "worker": found}
    Path("reports/models.json").write_text(json.dumps(models_here))


if __name__ == "__main__":
    run_stage(main)
"""
WHERE = '''
def models(report):
    """What a worker process knows as the first model."""
    from latent_digits.catalogue import MODELS

    return next(iter(MODELS))
'''
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b.c")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the library and one stage, which writes what code it and its worker run."""
    folder = tmp_path_factory.mktemp("pristine") / "my project"
    shutil.copytree(PROJECT / "src", folder / "src")
    (folder / "stages").mkdir()
    (folder / "stages/prepare.py").write_text(STAGE)
    (folder / "src/where.py").write_text(WHERE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / ".gitignore").write_text("/.resume/\n__pycache__/\n")
    done(folder, "git", "init", "--quiet")
    done(folder, sys.executable, "-m", "dvc", "init", "--quiet")
    done(folder, "git", "add", ".")
    done(folder, "git", *IDENTITY, "commit", "--quiet", "-m", "one")
    return folder


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / pristine.name)


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """With this environment's commands, as in a shell that has activated it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    identity = {
        f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=names | {"PATH": path} | identity | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def done(folder: Path, *command: str) -> str:
    found = run(folder, *command)
    assert found.returncode == 0, found.stdout
    return found.stdout


def edit(folder: Path, name: str) -> None:
    """Rename the first model."""
    path = folder / "src/latent_digits/catalogue.py"
    path.write_text(path.read_text().replace('"ae": ', f'"{name}": ', 1))


def written(folder: Path) -> str:
    return (folder / "reports/models.json").read_text()


def both(name: str) -> str:
    return f'{{"here": "{name}", "worker": "{name}"}}'


def test_a_queued_experiment_runs_its_own_code_and_poisons_no_cache(project: Path) -> None:
    done(project, "dvc", "repro")
    done(project, "git", "add", ".")
    done(project, "git", *IDENTITY, "commit", "--quiet", "-m", "two")
    assert written(project) == both("ae")
    edit(project, "edited")
    done(project, "dvc", "exp", "run", "--queue", "--name", "queued")
    done(project, "git", "checkout", "src")
    done(project, "dvc", "exp", "run", "--run-all")
    done(project, "dvc", "exp", "apply", "queued")
    assert written(project) == both("edited")
    done(project, "git", "checkout", ".")
    edit(project, "edited")
    done(project, "dvc", "repro")  # from the run cache, which the experiment has filled
    assert written(project) == both("edited")


def test_an_experiment_in_a_copy_runs_its_own_code(project: Path) -> None:
    edit(project, "edited")
    done(project, "dvc", "exp", "run", "--temp", "--name", "apart")
    done(project, "git", "checkout", "src")
    done(project, "dvc", "exp", "apply", "apart")
    assert written(project) == both("edited")


def test_a_worktree_and_a_copied_folder_run_their_own_code(project: Path) -> None:
    tree, copy = project.with_name("tree"), project.with_name("copied")
    done(project, "git", "worktree", "add", "--quiet", str(tree))
    shutil.copytree(project, copy)
    for folder, name in ((tree, "of_tree"), (copy, "of_copy")):
        edit(folder, name)
        done(folder, "dvc", "repro")
        assert written(folder) == both(name)


def test_a_stage_refuses_code_that_is_not_recorded(project: Path) -> None:
    found = run(project, "python", "stages/prepare.py", PYTHONPATH=f"{PROJECT / 'src'}:src")
    assert found.returncode == 1
    assert found.stdout == (
        f"error: the code that runs is that of {PROJECT / 'src/latent_digits'}, not that of this "
        "folder; use the environment that `make` makes here, or set PYTHONPATH=src.\n"
    )
    assert not (project / "reports").exists()


def test_make_notices_the_environment_of_another_folder(project: Path) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(PROJECT / name, project / name)
    ready = project / ".venv/bin/ready"
    ready.parent.mkdir(parents=True)
    ready.write_text(f"{project}\n")
    assert "rm -rf .venv" not in done(project, "make", "--dry-run", "test")
    ready.write_text(f"{PROJECT}\n")
    assert "rm -rf .venv" in done(project, "make", "--dry-run", "test")

"""`make uncommitted`: which stages an author has still to commit, in a project with a real DVC."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from latent_digits.commands import uncommitted
from latent_digits.console import UserError

PIPELINE = """
stages:
  first:
    cmd: cp code.txt kept.txt && cp code.txt cached.txt
    deps: [code.txt]
    outs: [cached.txt, kept.txt: {cache: false}]
  second:
    cmd: mkdir figures && cp params.yaml figures/one.png
    deps: [kept.txt]
    params: [seed]
    plots: [figures: {cache: false}]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose results are committed."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / "code.txt").write_text("one")
    git(folder, "init", "-q")
    for arguments in (["init", "-q"], ["config", "core.analytics", "false"], ["repro", "-q"]):
        dvc(folder, *arguments)
    commit(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(made, copy)
    monkeypatch.chdir(copy)
    return copy


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def commit(folder: Path) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.test")
    git(folder, "add", "-A")
    git(folder, *who, "commit", "-qm", "all")


def dvc(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True)


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[object, list[str]]:
    """The exit code, and the lines."""
    with pytest.raises(SystemExit) as end:
        uncommitted.main()
    return end.value.code, capsys.readouterr().out.splitlines()


def test_all_is_committed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == (False, ["The results of every stage are committed."])


def test_a_stage_that_gave_other_results(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "params.yaml").write_text("seed: 2\n")
    git(folder, "rm", "-rq", "--cached", "figures")  # a new file of a stage counts too
    commit(folder)
    shutil.rmtree(folder / "figures")
    dvc(folder, "repro", "-q")
    assert printed(capsys) == (True, ["second: commit dvc.lock, figures."])
    commit(folder)
    assert printed(capsys)[0] is False


def test_a_stage_whose_results_only_dvc_keeps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "code.txt").write_text("two")
    commit(folder)
    dvc(folder, "repro", "-q")
    assert printed(capsys) == (
        True,
        ["first: commit dvc.lock, kept.txt.", "second: commit dvc.lock."],
    )


def test_a_stage_that_was_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "params.yaml").write_text("seed: 2\n")
    sentence = "second: has no results of the code, data and parameters here; `make repro`."
    assert printed(capsys) == (True, [sentence])


def test_a_stage_that_is_gone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dvc.yaml").write_text(PIPELINE.partition("  second:")[0])
    lock = (folder / "dvc.lock").read_text().partition("  second:")[0]
    (folder / "dvc.lock").write_text(lock)
    assert printed(capsys) == (True, ["second: is no stage any more; commit dvc.lock without it."])


def test_nothing_of_it_is_committed_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(folder, "rm", "-rq", "--cached", "dvc.lock", "kept.txt", "figures")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b.test", "commit", "-qm", "none")
    assert printed(capsys) == (
        True,
        ["first: commit dvc.lock, kept.txt.", "second: commit dvc.lock, figures."],
    )


def test_outside_of_git(folder: Path) -> None:
    shutil.rmtree(folder / ".git")
    with pytest.raises(UserError, match="has no commit to compare with; run this in a git clone"):
        uncommitted.main()

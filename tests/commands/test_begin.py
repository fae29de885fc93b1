"""What a kill tore is deleted; anything else stays."""

import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from latent_digits.commands import begin
from latent_digits.console import UserError

pytestmark = pytest.mark.slow

LOCK = """schema: '2.0'
stages:
  copy:
    cmd: cp a b
    deps:
    - path: a
      hash: md5
      md5: 60b725f10c9c85c70d97880dfe8191b3
      size: 2
    params:
      params.yaml:
        seed: 1
    outs:
    - path: b
      hash: md5
      md5: 60b725f10c9c85c70d97880dfe8191b3
      size: 2
"""
WHOLE = {"dvc.lock": LOCK, ".dvc/tmp/rwlock": '{"read": {}, "write": {}}'}
PIPELINE = "stages: {copy: {cmd: cp a b, deps: [a], params: [seed], outs: [b]}}\n"


def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], text=True, capture_output=True, check=False
    )


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(begin, "MOMENT", 0.0)
    Repo.init(no_scm=True)
    (tmp_path / ".dvc/tmp").mkdir(exist_ok=True)
    for name, content in WHOLE.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_parameters_that_can_not_be_run_are_said_first(project: Path) -> None:
    (project / "params.yaml").write_text("sead: 1\n")
    (project / "dvc.lock").write_text(LOCK[:-9])
    with pytest.raises(UserError, match="sead"):
        begin.main()
    assert (project / "dvc.lock").exists()


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("part", [0.0, 0.4, 0.7, 0.99])
def test_a_torn_file_is_deleted(
    name: str, part: float, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / name).write_text(WHOLE[name][: int(part * len(WHOLE[name]))])
    begin.repair()
    assert {one for one in WHOLE if (project / one).exists()} == set(WHOLE) - {name}
    assert f"{name} was torn by a kill" in capsys.readouterr().err


def test_what_is_whole_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = project / ".dvc/cache/runs/ab/abcd/run"
    entry.parent.mkdir(parents=True)
    entry.touch()
    begin.repair()
    assert entry.exists()
    assert {one: (project / one).read_text() for one in WHOLE} == WHOLE
    assert capsys.readouterr().err == ""


def test_without_such_files_there_is_nothing_to_do(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in WHOLE:
        (project / name).unlink()
    begin.repair()
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # in what DVC uses
def test_dvc_takes_what_is_left_of_its_lock_wherever_a_kill_cut_it(project: Path) -> None:
    """Cut in a line it is deleted; cut between two it is deleted, or DVC can go on with it."""
    (project / "dvc.yaml").write_text(PIPELINE)
    (project / "params.yaml").write_text("seed: 1\n")
    (project / "a").write_text("a\n")
    lock, kept = project / "dvc.lock", 0
    for length in range(len(LOCK)):
        lock.write_text(LOCK[:length])
        begin.repair()
        if lock.exists():
            assert LOCK[length - 1] == "\n"
            kept += 1
            assert [stage.name for stage in Repo().reproduce(dry=True)] == ["copy"]
    assert 0 < kept < LOCK.count("\n")


def test_an_empty_entry_of_the_run_cache_is_deleted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC 3.67 makes the folder of an entry before the entry, and fails at one without."""
    (project / "dvc.yaml").write_text(PIPELINE)
    (project / "params.yaml").write_text("seed: 1\n")
    (project / "a").write_text("a\n")
    (project / "dvc.lock").unlink()
    assert dvc("repro").returncode == 0
    [entry] = project.glob(".dvc/cache/runs/*/*/*")
    entry.unlink()
    (project / "dvc.lock").unlink()
    assert dvc("repro").returncode != 0
    begin.repair()
    assert "An empty entry of DVC's run cache" in capsys.readouterr().err
    again = dvc("repro")
    assert again.returncode == 0, again.stderr
    assert "Running stage 'copy'" in again.stdout

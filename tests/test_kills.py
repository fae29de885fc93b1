"""A study that is killed at random moments ends with the bytes of one that is left alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kills import TINY, Run, kill_loop, outputs, repro
from smoke import dvc, environment, scratch_copy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = scratch_copy(tmp_path_factory.mktemp("kills") / "whole", TINY)
    return folder, repro(folder, {})


def test_a_killed_study_ends_with_the_same_bytes(whole: Any, tmp_path: Path) -> None:
    undisturbed, run = whole
    folder = scratch_copy(tmp_path / "killed", TINY)
    killed, printed = kill_loop(folder, kills=3, seconds=run.seconds, seed=1)
    assert killed.total() >= 20
    assert outputs(folder) == outputs(undisturbed)
    assert "going on after epoch" in printed
    assert "were finished before" in printed
    assert "damaged" not in printed
    drafts = [path for top in ("data", "reports", ".state") for path in (folder / top).rglob(".*")]
    assert {path.name for path in drafts} <= {".gitignore"}


def test_a_second_run_at_the_same_time_says_so_and_touches_nothing(whole: Any) -> None:
    folder, _ = whole
    (folder / "stages/plot.py").open("a").write("# changed\n")
    command = [sys.executable, "-m", "dvc", "repro"]
    options: Any = {"cwd": folder, "env": environment(folder), "text": True}
    first = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    try:
        for line in first.stdout or ():
            if line.startswith("Running stage"):
                break
        before = outputs(folder)
        second = dvc(folder, "repro")
        print(second.stdout)
        assert second.returncode != 0
        assert "another" in second.stdout.lower()
        assert before
    finally:
        first.communicate()
    assert first.returncode == 0

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


def test_a_study_whose_stages_are_killed_twice_each_ends_with_the_same_bytes(whole: Any) -> None:
    """A kill whose stage is just over hits none, or the next: so a quarter of them may miss."""
    folder, run = whole
    killed, printed = kill_loop(folder, run, kills=12)
    assert killed.total() >= 12
    assert len(killed) >= 6
    assert "going on after epoch" in printed
    assert "damaged" not in printed
    tops = (other / top for other in folder.parent.iterdir() for top in ("data", "reports"))
    assert {path.name for top in tops for path in top.rglob(".*")} <= {".gitignore"}


def test_a_second_run_at_the_same_time_says_so_and_touches_nothing(whole: Any) -> None:
    folder, _ = whole
    before = outputs(folder)
    with (folder / "stages/plot.py").open("a") as code:
        code.write("# changed\n")
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env=environment(folder) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        for line in first.stdout or ():
            if line.startswith("Running stage 'plot'"):
                break
        second = dvc(folder, "repro")
        first.communicate()
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in second.stdout
    assert "Running stage" not in second.stdout
    assert first.returncode == 0
    assert outputs(folder) == before

"""Workers: reports arrive, exceptions come back whole, one import of torch serves all."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from dask import config

from latent_digits import arithmetic
from latent_digits.console import UserError
from latent_digits.training.workers import SETTINGS, CallError, workers
from remote import (
    deadly,
    double,
    dying,
    fail,
    in_force_here,
    interruptions,
    silent,
    sums,
    where,
)
from servers import Scheduler, free_port

pytestmark = pytest.mark.slow


def test_results_reports_and_exceptions() -> None:
    heard: list[tuple[str, Any]] = []
    with workers(2) as pool:
        shared = pool.share([1, 2, 3])
        calls = {"a": (double, shared), "b": (double, "x")}
        results = dict(pool.run(calls, lambda name, event: heard.append((name, event))))
        assert results == {"a": [1, 2, 3, 1, 2, 3], "b": "xx"}
        assert sorted(heard) == [("a", "doubling"), ("b", "doubling")]
        with pytest.raises(CallError, match="c failed in its worker") as error:
            list(pool.run({"c": (fail,)}, lambda name, event: None))
        cause = error.value.__cause__
        assert isinstance(cause, ZeroDivisionError)
        assert "in the worker that ran c" in cause.__notes__[0]
        again = dict(pool.run({"d": (double, 2), "e": (interruptions,)}, ignore))
        assert again.pop("e") < 10  # of Dask's own settings 150, a twentieth of a core
        assert again == {"d": 4}


def test_a_worker_that_is_silent_for_long_is_not_given_up() -> None:
    """As after a machine has slept; a second stands for minutes here."""
    with config.set({"distributed.scheduler.worker-ttl": "1 s"}), workers(1) as pool:
        assert dict(pool.run({"a": (silent, 8)}, ignore)) == {"a": "awake"}


def test_the_work_of_a_worker_that_dies_is_done_again(tmp_path: Path) -> None:
    with workers(1) as pool:  # its data die with it
        shared = pool.share([1, 2, 3])
        calls = {"a": (dying, tmp_path / "marker", shared), "b": (sums, shared)}
        assert dict(pool.run(calls, ignore)) == {"a": [1, 2, 3], "b": 6}


@pytest.mark.parametrize("kills", [1, 100])
def test_a_worker_killed_while_it_starts_is_started_again(
    kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = threading.Event()
    killer = threading.Thread(target=kill_workers, args=(kills, ended))
    killer.start()
    try:
        with workers(1) as pool:
            assert dict(pool.run({"a": (double, 1)}, ignore)) == {"a": 2}
            assert kills == 1
    except UserError as error:
        assert str(error).startswith("no 1 workers could be started: one ended in each of 3 att")
        assert kills > 1
    finally:
        ended.set()
        killer.join()
    assert capsys.readouterr().err.count("a worker did not start (") == min(kills, 3)


def kill_workers(most: int, ended: threading.Event) -> None:
    """Kill so many children of this process's fork server, as soon as they are there."""
    killed: set[int] = set()
    while len(killed) < most and not ended.wait(0.01):
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.ppid() != os.getpid() and process.pid not in killed:
                    process.kill()
                    killed.add(process.pid)
                    break


def test_workers_start_where_the_path_of_temporary_files_is_long(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    script = tmp_path / "script.py"
    script.write_text(
        "from latent_digits.training.workers import workers\n"
        "if __name__ == '__main__':\n"
        "    with workers(1) as pool:\n"
        "        print(len(pool.addresses()))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, script], env=environment, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_what_kills_its_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "distributed.scheduler.allowed-failures", 1)
    with workers(1) as pool, pytest.raises(UserError, match="a was given up: 2 workers died"):
        list(pool.run({"a": (deadly,)}, ignore))


def test_the_workers_of_a_scheduler_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the ordinary commands: one worker from the start, another later.

    They have this process's arithmetic, though `dask worker` imports NumPy before it knows of this
    project.
    """
    for name in arithmetic.VARIABLES:
        monkeypatch.delenv(name)
    with Scheduler() as dask:
        dask.start_worker()
        with config.set({"scheduler-address": dask.address}), workers(7) as pool:
            shared = pool.share([1, 2, 3])
            assert dict(pool.run({"a": (sums, shared)}, ignore)) == {"a": 6}
            dask.start_worker()
            pool.client.wait_for_workers(2, timeout=60)
            calls = {str(n): (where, shared) for n in range(4)}
            found = dict(pool.run(calls, ignore))
            assert len(set(found.values())) == 2  # both worked
            assert dict(pool.run({"a": (in_force_here,)}, ignore)) == {"a": arithmetic.in_force()}


def test_workers_do_not_outlive_a_stage_that_is_killed() -> None:
    script = (
        "from latent_digits.training.workers import workers\n"
        "with workers(2) as pool:\n"
        "    print(*pool.client.run(os.getpid).values(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", f"import os, time\n{script}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    options: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment, **options) as stage:
        pids = [int(pid) for pid in stage.stdout.readline().split()]
        stage.kill()
    assert len(pids) == 2
    began = time.monotonic()
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < began + 20
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_of_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with workers(1) as pool:
        monkeypatch.setattr("latent_digits.training.workers.software", lambda modules: "Python 2")
        with pytest.raises(
            UserError, match=r"worker tcp://.* has Python 3.*, this process Python 2"
        ):
            list(pool.run({"a": (double, 1)}, ignore))


def test_a_worker_without_the_project_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with workers(1) as pool:
        monkeypatch.setattr("latent_digits.training.workers.same", Nowhere())
        pool.share(1)
        with pytest.raises(UserError, match="scheduler and workers need this commit"):
            list(pool.run({"a": (double, 1)}, ignore))


class Nowhere:
    """What a worker cannot find."""

    def __call__(self, value: Any) -> Any:
        return value

    def __reduce__(self) -> Any:
        return __import__, ("nowhere",)


def test_no_scheduler_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "distributed.comm.timeouts.connect", "1 s")
    address = f"tcp://127.0.0.1:{free_port()}"
    with config.set({"scheduler-address": address}), pytest.raises(UserError) as error:
        workers(1).__enter__()
    assert str(error.value).startswith(f"no Dask scheduler answers at {address} (")


def ignore(name: str, event: Any) -> None:
    pass

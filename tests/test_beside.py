"""A call in a process of its own gives its result, fails as one would, and ends with its block."""

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import spawn
from pathlib import Path

import numpy as np
import pytest

from latent_digits.beside import beside, deaf
from latent_digits.console import UserError
from latent_digits.evaluation.arrays import projections

KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
from latent_digits.beside import beside

def large(begun, forked, argument):
    began_it = os.getppid()
    Path(begun).touch()
    while forked or os.getppid() == began_it:
        time.sleep(0.01)
    return bytes(10_000_000)

def kill_when(path):
    while path and not Path(path).exists():
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    begun, how = sys.argv[1:]
    argument = bytes(1_000_000 if how == "sent to" else 1)
    threading.Thread(target=kill_when, args=("" if how == "sent to" else begun,)).start()
    with beside(large, begun, how == "forked", argument, forked=how == "forked"):
        time.sleep(60)
"""


@pytest.mark.parametrize("forked", [False, True])
def test_it_gives_the_result_of_a_process_of_its_own(forked: bool) -> None:
    with beside(os.getpid, forked=forked) as process:
        assert process() != os.getpid()


def test_a_forked_process_has_what_this_one_has() -> None:
    beyond_pickling = [lambda: 7]
    with beside(lambda: beyond_pickling[0](), forked=True) as seven:
        assert seven() == 7


def test_its_threads_wait_without_a_core_and_no_others_do() -> None:
    with beside(os.getenv, "OMP_WAIT_POLICY") as policy:
        assert policy() == "PASSIVE"
    assert os.getenv("OMP_WAIT_POLICY") is None


@pytest.mark.parametrize(("name", "value"), [("OMP_THREAD_LIMIT", "1"), ("OMP_DYNAMIC", "TRUE")])
def test_a_projection_has_two_threads_whatever_is_set(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = np.random.default_rng(0).standard_normal((520, 33), np.float32)
    with beside(projections, z, 9, 1) as usual:
        expected = usual()["tsne"]
    monkeypatch.setenv(name, value)
    with beside(projections, z, 9, 1) as found:
        assert np.array_equal(found()["tsne"], expected)
    assert os.environ[name] == value


@pytest.mark.parametrize("how", ["sent to", "spawned", "forked"])
def test_a_call_ends_in_silence_when_whoever_began_it_is_killed(how: str, tmp_path: Path) -> None:
    """A spawned one when it is done, with a result that is larger than a pipe; a forked one at
    once. What it was sent may be larger, too.
    """
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, script, tmp_path / "begun", how]
    # Its end is that of the call, too, which has the same error stream.
    killed = subprocess.run(command, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not killed.stderr


@pytest.mark.parametrize("forked", [False, True])
def test_what_fails_is_told_where_its_result_is_waited_for(
    forked: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Once: its first line, which MLflow gets of a stage, and then its traceback."""
    with beside(int, "x", forked=forked) as number, pytest.raises(RuntimeError) as failed:
        number()
    assert str(failed.value).startswith("int failed: ValueError: invalid literal for int()")
    assert "Traceback" in failed.value.__notes__[0]
    assert not capfd.readouterr().err


@pytest.mark.parametrize("forked", [False, True])
def test_a_process_that_ends_is_no_endless_wait(forked: bool) -> None:
    ended = pytest.raises(RuntimeError, match="computed _exit ended early")
    with beside(os._exit, 3, forked=forked) as never, ended:
        never()


def test_what_a_person_can_mend_is_said_in_a_sentence_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full() -> None:
        raise UserError("the disk is full")

    with beside(full, forked=True) as result, pytest.raises(UserError, match="the disk is full"):
        result()
    assert not capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGALRM])
@pytest.mark.parametrize("forked", [False, True])
def test_signals_are_for_whoever_began_it(
    number: int, forked: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """A terminal sends Ctrl-C to both processes; the call goes on, for the other to end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with beside(raised, number, forked=forked) as went_on:
        assert went_on()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert not capfd.readouterr().err


def test_a_signal_while_it_begins_comes_afterwards() -> None:
    """Not to be lost in what runs at a fork, nor before there is something to end."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, end)
    over, begun = threading.Event(), False
    other = threading.Thread(target=over.wait)  # may get what this one does not
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt, match=f"{signal.SIGTERM:d}"), deaf():
            signal.pthread_kill(other.ident or 0, signal.SIGTERM)
            time.sleep(0.1)
            begun = True
        assert begun
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        over.set()
        signal.signal(signal.SIGTERM, before)


def test_arguments_may_be_larger_than_a_pipe_and_nobody_waits_for_a_process_that_is_none() -> None:
    much = bytes(1_000_000)
    with beside(len, much) as length:
        assert length() == len(much)
    before = spawn.get_executable()
    spawn.set_executable("/bin/false")
    try:
        with pytest.raises(RuntimeError, match="len ended early"), beside(len, much):
            pass
    finally:
        spawn.set_executable(before)


def raised(number: int) -> bool:
    os.kill(os.getpid(), number)
    return True


def test_the_end_of_the_block_is_that_of_the_call() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), beside(time.sleep, 60):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30

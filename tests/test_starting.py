"""A command's start and end: refused elsewhere than on Linux, ended by a signal in one sentence."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from latent_digits.commands.verify import environment
from latent_digits.starting import INTERRUPTED
from smoke import PROJECT, run

pytestmark = pytest.mark.slow

COMMANDS = [("stages/train_ae.py",), ("stages/plot.py",), ("-m", "latent_digits.commands.begin")]
# A stage as others are: imports, then work within `run_stage` that closes what it has opened.
STAGE = """
import latent_digits
print("importing", flush=True)
from latent_digits.console import run_stage
from latent_digits.training.workers import workers
import time

def main():
    print("starting", flush=True)
    try:
        with workers(2):
            print("working", flush=True)
            time.sleep(60)
    finally:
        print("closed", flush=True)

if __name__ == "__main__":
    run_stage(main)
"""


@pytest.fixture(autouse=True)
def foreground() -> Iterator[None]:
    """What these tests start heeds Ctrl-C, even where they run in the background themselves."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", COMMANDS)
def test_another_system_is_refused_in_a_sentence(
    project: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "mac").mkdir()
    (tmp_path / "mac/sitecustomize.py").write_text("import sys; sys.platform = 'darwin'\n")
    path = os.pathsep.join([str(tmp_path / "mac"), str(project / "src")])
    refused = run(project, *command, PYTHONPATH=path)
    assert refused.returncode == 1
    assert refused.stdout == (
        "latent-digits runs on Linux only, and this is darwin; use a machine, a virtual machine "
        "or a container with Linux.\n"
    )


def test_make_refuses_another_system_first(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name in ("Makefile", "requirements.lock", "src/latent_digits_start.py"):
        shutil.copy(PROJECT / name, tmp_path / name)
    uname = tmp_path / "bin/uname"
    uname.parent.mkdir()
    uname.write_text("#!/bin/sh\necho Darwin\n")
    uname.chmod(0o755)
    path = f"{uname.parent}{os.pathsep}{os.environ['PATH']}"
    command = ["make", "--no-print-directory", "repro"]
    refused = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PATH": path}, text=True, capture_output=True
    )
    assert refused.returncode
    assert refused.stderr.startswith("latent-digits runs on Linux only, and this is Darwin; use a ")
    assert refused.stdout == ""
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("moment", "number", "times"),
    [
        ("importing", signal.SIGINT, 1),
        ("importing", signal.SIGTERM, 1),
        ("starting", signal.SIGINT, 1),
        ("starting", signal.SIGTERM, 1),
        ("working", signal.SIGINT, 1),
        ("working", signal.SIGINT, 2),
    ],
)
def test_a_signal_ends_a_stage_in_one_sentence(
    tmp_path: Path, moment: str, number: signal.Signals, times: int
) -> None:
    stage = tmp_path / "stages/stage.py"
    stage.parent.mkdir()
    stage.write_text(STAGE)
    with subprocess.Popen(
        [sys.executable, stage],
        cwd=tmp_path,
        env=environment(PROJECT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout and process.stderr
        while process.stdout.readline().strip() != moment:
            pass
        time.sleep(0.5 if moment == "starting" else 0.05)
        for _ in range(times):
            os.killpg(process.pid, number)
            time.sleep(0.3)
        # Workers hold the error stream as well, so its end is theirs.
        assert process.stderr.read() == f"{INTERRUPTED}\n"
        assert process.wait() == 128 + number
        assert not is_group(process.pid)


def test_a_signal_within_an_import_leaves_no_lock(tmp_path: Path) -> None:
    """Python's own import would hold it for ever, and the thread that closes all would wait."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "slow.py").write_text("import time; time.sleep(1); print('imported', flush=True)\n")
    (tmp_path / "stages/stage.py").write_text(
        "import os, signal, sys, threading\n"
        "from latent_digits.console import run_stage\n"
        "sys.path.append('.')\n"
        "def main():\n"
        "    kill = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))\n"
        "    kill.start()\n"
        "    import slow\n"
        "    for _ in range(20): __import__('time').sleep(0.1)\n"
        "run_stage(main)\n"
    )
    done = run(tmp_path, "stages/stage.py", PYTHONPATH=str(PROJECT / "src"))
    assert (done.returncode, done.stdout) == (130, f"imported\n{INTERRUPTED}\n")


def is_group(leader: int) -> bool:
    """Whether any process of this group lives, a second after its leader's end."""
    time.sleep(1)
    living = [one for one in psutil.process_iter() if one.status() != psutil.STATUS_ZOMBIE]
    return any(os.getpgid(one.pid) == leader for one in living if one.is_running())


@pytest.mark.parametrize("fault", ["", "all is wrong"])
def test_a_stage_that_is_done_closes_what_is_open_and_collects_no_garbage(
    tmp_path: Path, fault: str
) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/stage.py").write_text(
        "import atexit\n"
        "from latent_digits.console import UserError, run_stage\n"
        "class Left:\n"
        "    def __del__(self): print('collected')\n"
        "left = Left()\n"
        "def main():\n"
        "    atexit.register(print, 'closed')\n"
        "    print('done')\n"
        f"    if {fault!r}: raise UserError({fault!r})\n"
        "run_stage(main)\n"
    )
    # What was printed waits in a buffer, to be written at the end.
    done = run(tmp_path, "stages/stage.py", PYTHONPATH=str(PROJECT / "src"), PYTHONUNBUFFERED="")
    said = f"error: {fault}\n" if fault else ""
    assert (done.returncode, done.stdout) == (bool(fault), f"{said}done\nclosed\n")


@pytest.mark.parametrize("stream", [1, 2])
def test_a_command_whose_stream_is_closed_ends_as_ever(stream: int) -> None:
    command = f"{sys.executable} -m latent_digits.commands.begin {stream}>&-"
    done = subprocess.run(
        ["sh", "-c", command], cwd=PROJECT, env=environment(PROJECT), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_background_job_leaves_ctrl_c_to_the_foreground(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    script = "import latent_digits, signal; print(signal.getsignal(signal.SIGINT).name)"
    (tmp_path / "stages/stage.py").write_text(script)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            [sys.executable, "stages/stage.py"],
            cwd=tmp_path,
            env=environment(PROJECT),
            text=True,
            capture_output=True,
            check=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.stdout == "SIG_IGN\n"


def test_an_import_by_others_changes_no_signal(tmp_path: Path) -> None:
    script = (
        "import signal\nsignals = signal.SIGINT, signal.SIGTERM\n"
        "before = [signal.getsignal(one) for one in signals]\nimport latent_digits.console\n"
        "assert [signal.getsignal(one) for one in signals] == before\n"
    )
    (tmp_path / "notebook.py").write_text(script)
    for arguments in (("-c", script), ("notebook.py",)):
        subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment(PROJECT), check=True
        )


def test_compiled_code_has_a_place_where_the_code_can_not_be_written(project: Path) -> None:
    compiled = project / "src/latent_digits/engine/__pycache__"
    shutil.rmtree(compiled, ignore_errors=True)
    compiled.touch()  # so not even root can write there
    (project / "home").touch()
    (project / "stages/stage.py").write_text(
        "import latent_digits.engine.kernels, numpy\n"
        "latent_digits.engine.kernels.sums(numpy.ones((2, 3)), numpy.zeros(2))\n"
    )
    done = run(project, "stages/stage.py", HOME=f"{project}/home", XDG_CACHE_HOME="/dev/null")
    assert (done.returncode, done.stdout) == (0, "")
    assert list((project / ".resume/compiled").rglob("kernels.sums*"))

"""What fixes the bits is set before the libraries read it, and what does not fit is said."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from latent_digits import arithmetic, console
from latent_digits.console import UserError, say_once
from latent_digits.training import workers
from remote import in_force_here

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in arithmetic.VARIABLES}
NOTICES = "from latent_digits.arithmetic import notices; print(*notices(), sep='\\n')"
settled = pytest.mark.skipif(bool(arithmetic.missing()), reason=arithmetic.missing())


def python(script: str, *options: str, **variables: str) -> str:
    command = [sys.executable, *options, "-c", script]
    env = ENVIRONMENT | variables
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@settled
def test_every_python_of_the_environment_begins_with_it() -> None:
    """Before NumPy, whoever imports it: so `dask worker` and `mlflow` commands have it too."""
    script = "import numpy, torch, numba, sys; assert 'latent_digits' not in sys.modules\n"
    script += "from latent_digits.arithmetic import in_force; print(in_force())"
    wide = not arithmetic.lacking(arithmetic.AVX512)
    expected = {name: names[0] for name, names in arithmetic.EXPECTED.items()}
    assert python(script).strip() == str(expected | ({"Numba": "x86-64-v4"} if wide else {}))


def test_every_python_of_the_environment_seldom_looks_for_garbage() -> None:
    assert python("import gc; print(gc.get_threshold()[0])") == "10000\n"


@settled
@pytest.mark.parametrize("name", [*arithmetic.VARIABLES, arithmetic.CONTRARY])
def test_a_users_own_setting_is_not_heeded_and_named(name: str) -> None:
    said = python(NOTICES, **{name: "nehalem"})
    assert f"not heeded, so that results are the same on every machine: {name}=nehalem; " in said
    assert len(said.splitlines()) == 1
    script = "import os; print(os.environ.get('NPY_DISABLE_CPU_FEATURES'))"
    assert python(script, NPY_DISABLE_CPU_FEATURES="X86_V3").strip() == "None"


@settled
@pytest.mark.parametrize("kernels", [arithmetic.VARIABLES, arithmetic.WIDE], ids=["256", "512"])
def test_what_another_kind_of_machine_had_set_is_no_users_setting(kernels: dict[str, str]) -> None:
    """The environment of a scheduler or a shell may come from one with other vectors."""
    assert python(NOTICES, **kernels).strip() == ""


@settled
@pytest.mark.parametrize("flag", ["", *arithmetic.AVX512])
def test_kernels_have_wide_vectors_where_the_processor_has_all_of_them(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"avx2", "fma", "bmi2", "movbe", "f16c", *arithmetic.AVX512} - {flag}
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(f"flags : {' '.join(flags)}\n")
    monkeypatch.setattr(arithmetic, "CPU", str(cpu))
    monkeypatch.setattr(os, "environ", {})
    arithmetic.settle()
    assert os.environ == (arithmetic.VARIABLES if flag else arithmetic.VARIABLES | arithmetic.WIDE)


@settled
def test_nothing_is_said_where_all_is_as_it_should_be() -> None:
    assert python(NOTICES).strip() == ""


@settled
def test_switches_for_debugging_are_heeded_and_said() -> None:
    assert "committed ones: NUMBA_DISABLE_JIT is set." in python(NOTICES, NUMBA_DISABLE_JIT="1")


def test_the_processors_own_vectors_can_be_asked_for() -> None:
    script = f"import os; print('OPENBLAS_CORETYPE' in os.environ); {NOTICES}"
    found = python(script, **{arithmetic.HOST: "1"}).splitlines()
    assert found[0] == "False"
    assert "asks for this processor's own vectors" in found[1]


def test_a_processor_without_avx2_is_left_alone_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = tmp_path / "cpuinfo"
    cpu.write_text("processor : 0\nflags : fpu sse sse2 sse4_2 avx f16c\n")
    monkeypatch.setattr(arithmetic, "CPU", str(cpu))
    for name in arithmetic.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    arithmetic.settle()
    assert not set(os.environ) & set(arithmetic.VARIABLES)
    assert "committed ones: this processor has no AVX2" in arithmetic.notices()[-1]


def test_another_architecture_and_another_system_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "CPU", "nowhere")
    assert arithmetic.missing().startswith("what this processor can do is not known (Linux has no")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="aarch64", sysname="Linux"))
    assert arithmetic.missing() == "this processor is of another architecture (aarch64)"


def test_a_gpu_another_python_and_other_packages_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# comment\nnumpy==1.0 \\\n    --hash=sha256:00\n")
    monkeypatch.setattr(arithmetic, "LOCK", str(lock))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(arithmetic, "PYTHON", (3, 9))
    said = arithmetic.notices()[-1]
    assert "committed ones: a GPU trains; this Python is not 3.9; " in said
    assert "; numpy is 2." in said


def test_the_installed_packages_are_those_of_the_lock_file() -> None:
    assert arithmetic.other_versions(str(Path(__file__).parents[1] / "requirements.lock")) == []


@settled
def test_a_library_that_was_imported_too_early_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "in_force", lambda: {"NumPy": "X86_V4", "PyTorch": "AVX2"})
    assert arithmetic.departures() == ["NumPy works with X86_V4 instead of X86_V3"]
    assert arithmetic.kind() == "NumPy X86_V4"


def test_one_thread_whatever_the_number_of_cores() -> None:
    torch.set_num_threads(2)
    try:
        with arithmetic.one_thread():
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)


def test_two_threads_whatever_the_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

    cores = os.sched_getaffinity(0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with arithmetic.one_thread():
        try:
            os.sched_setaffinity(0, {min(cores)})
            with arithmetic.two_threads():
                assert _openmp_effective_n_threads() == 2
        finally:
            os.sched_setaffinity(0, cores)
        assert _openmp_effective_n_threads() == 1
    assert "OMP_NUM_THREADS" not in os.environ


def test_denormals_are_zero_where_they_are_flushed() -> None:
    tiny = torch.tensor([1e-30])
    with arithmetic.one_thread(flush_denormals=True):
        assert (tiny * 1e-10).item() == 0
    with arithmetic.one_thread():
        assert (tiny * 1e-10).item() > 0


def test_a_worker_of_other_arithmetic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "kind", lambda: "NumPy X86_V4")
    workers.software.cache_clear()
    refused = "and arithmetic of .*, this process .* and arithmetic of NumPy X86_V4"
    try:
        with workers.workers(1) as pool, pytest.raises(UserError, match=refused):
            list(pool.run({"a": (in_force_here,)}, lambda name, event: None))
    finally:
        workers.software.cache_clear()


def test_settings_of_the_c_library_are_kept_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = workers.ALLOCATOR[workers.TUNABLES]
    monkeypatch.setenv(workers.TUNABLES, "glibc.malloc.check=0")
    found = workers.with_ours(workers.TUNABLES, ":", ours)
    assert found == f"glibc.malloc.check=0:{ours}"
    monkeypatch.setenv(workers.TUNABLES, found)
    assert workers.with_ours(workers.TUNABLES, ":", ours) == found


def test_a_remark_is_made_once_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "SAID", tmp_path / ".resume/said")
    for job in (1, 1, 2):
        monkeypatch.setattr(os, "getpgrp", lambda job=job: job)
        say_once("one")
        say_once("other")
    assert capsys.readouterr().err.split() == ["one", "other"] * 2


def test_a_later_job_of_the_same_number_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container, whose first process is always 1."""
    monkeypatch.setattr(console, "SAID", tmp_path / ".resume/said")
    monkeypatch.setattr(console, "PROC", tmp_path)
    monkeypatch.setattr(os, "getpgrp", lambda: 1)
    for file in ("1/stat", "sys/kernel/random/boot_id"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("a boot")
    for start in (100, 100, 200):
        (tmp_path / "1/stat").write_text(f"1 (a ) b) S {'0 ' * 18}{start} 0")
        say_once("one")
    assert capsys.readouterr().err.split() == ["one"] * 2


def test_another_stage_reads_all_remarks_or_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, read_meanwhile = tmp_path / ".resume/said", tmp_path / "read"
    monkeypatch.setattr(console, "SAID", said)
    say_once("one")
    before = said.read_text()
    read_meanwhile.hardlink_to(said)
    say_once("other")
    assert said.read_text() == f"{before}\nother"
    assert read_meanwhile.read_text() == before

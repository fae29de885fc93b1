"""The digests of `golden.json`, here and as what other machine this one can pretend to be."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from golden import GOLDEN
from latent_digits.arithmetic import AVX512, CPU, HOST, UNHEEDED, VARIABLES, WIDE, lacking, missing
from smoke import PROJECT

FLAGS = Path(CPU).read_text() if Path(CPU).exists() else ""
NO_FMA = "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA"  # other functions of the math library
IN_FORCE = "from latent_digits.arithmetic import in_force; import torch, numba; print(in_force())"
LOGARITHMS = "import math; print([math.exp(n / 777) for n in range(10000)])"
MKL = "import torch; torch.rand(9, 9) @ torch.rand(9, 9)"
SHORT = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+prefer-128-bit"}
LOCALE = "import sys, locale, time; print(locale.getpreferredencoding(), time.tzname, hash('a'))"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"{missing()}: other bits, as said"),
]


class Machine(NamedTuple):
    """Settings, and what prints otherwise when these are heeded: without ours, for comparison."""

    variables: dict[str, str]
    seen_by: str = "print()"
    before: tuple[str, ...] = ()


ONE_CORE = ("taskset", "--cpu-list", "0")
MACHINES = {
    "one core": Machine({}, "import os; print(os.sched_getaffinity(0))", ONE_CORE),
    "four threads": Machine(
        {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4", "MKL_DYNAMIC": "FALSE"},
        "import torch; print(torch.get_num_threads())",
    ),
    "other vectors": Machine(
        {
            "OPENBLAS_CORETYPE": "Nehalem",
            "NPY_DISABLE_CPU_FEATURES": "X86_V3",
            "ATEN_CPU_CAPABILITY": "default",
            "NUMBA_CPU_NAME": "nehalem",
        },
        IN_FORCE,
    ),
    "another MKL": Machine({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "MKL_VERBOSE": "1"}, MKL),
    "another math library": Machine({"GLIBC_TUNABLES": NO_FMA}, LOGARITHMS),
    "elsewhere": Machine(
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"},
        LOCALE,
    ),
}
HERE = Machine({})
ALL_AT_ONCE = Machine(
    {k: v for machine in MACHINES.values() for k, v in machine.variables.items()}, before=ONE_CORE
)
CLEAN = {k: v for k, v in os.environ.items() if k not in {*VARIABLES, UNHEEDED, "TZ"}}


def python(machine: Machine, *arguments: str, **variables: str) -> str:
    command = [*machine.before, sys.executable, *arguments]
    env = CLEAN | machine.variables | variables
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout


def golden(machine: Machine, **variables: str) -> dict[str, str]:
    """The digests that a machine finds."""
    found = json.loads(python(machine, "tests/golden.py", **variables).splitlines()[-1])
    return found["digests"]


@pytest.mark.parametrize("machine", [HERE, ALL_AT_ONCE], ids=["this one", "another"])
def test_the_golden_digests(machine: Machine) -> None:
    assert golden(machine) == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_pretended(name: str) -> None:
    """What was set reaches its library, where this project does not set it."""
    if name == "another MKL" and "GenuineIntel" not in FLAGS:
        pytest.skip("MKL listens on Intel's processors only")
    if name == "one core" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("this machine has one core")
    machine = MACHINES[name]
    here = Machine({"MKL_VERBOSE": "1", "PYTHONHASHSEED": "0"})
    host = {HOST: "1"}
    assert python(machine, "-c", machine.seen_by, **host) != python(
        here, "-c", machine.seen_by, **host
    )


@pytest.mark.skipif(
    bool(missing() or lacking(AVX512)), reason="this processor is no more than x86-64-v3"
)
def test_other_vectors_would_give_other_digests() -> None:
    """So the digests above can differ: on this processor's own vectors those of libraries do.

    The kernels are compiled as ever here, since all of them take long; one is below.
    """
    found, expected = golden(HERE, **{HOST: "1"} | WIDE), json.loads(GOLDEN.read_text())
    same = {name for name in expected if found[name] == expected[name]}
    assert "split" in same
    assert not same & {"classifier", "classifier_end_to_end", "search", "metrics", "projections"}


def test_vectors_of_another_length_give_kernels_the_same_digests() -> None:
    """The order of a kernel's sums is written down, and not the compiler's choice.

    So 128 bits give what 256 or 512 do, whichever this processor has.
    """
    assert golden(HERE, **{HOST: "1"} | VARIABLES | SHORT) == json.loads(GOLDEN.read_text())

"""Arithmetic with the same bits on every x86-64 processor with AVX2, of whatever make and width.

A sum of floats depends on its order, and each library orders its sums by the processor: vectors of
256 or 512 bits, kernels for one maker or another. Here all are told to work as for x86-64-v3, which
is AVX2 and FMA, on one thread. Only the engine's kernels, the order of whose sums is written down,
take the widest vectors that there are. All read their variables once, at import, so `settle` comes
before that: in `latent_digits/__init__.py`, and at the start of every Python of `.venv`, see
`latent_digits_start.py`. So nothing is imported at this module's top that takes time.

What PyTorch's operations compute in place of this project's kernels, on a GPU or in another dtype,
is the same on one machine only: MKL orders its sums by the maker of the processor too.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

VARIABLES = {
    "NUMBA_CPU_NAME": "x86-64-v3",
    "NUMBA_CPU_FEATURES": "",  # those of that name, not the host's
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",
    "OPENBLAS_CORETYPE": "Haswell",
}
WIDE = {  # where the processor has AVX-512, for kernels of the engine: same bits, sooner on Zen 4
    "NUMBA_CPU_NAME": "x86-64-v4",
    "NUMBA_CPU_FEATURES": "-prefer-256-bit",
}
AVX512 = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")  # what x86-64-v4 has
CONTRARY = "NPY_DISABLE_CPU_FEATURES"  # NumPy refuses to start with both
HOST = "LATENT_DIGITS_HOST_ARITHMETIC"  # set: this processor's own vectors, for comparison
UNHEEDED = (
    "LATENT_DIGITS_UNHEEDED"  # what the user had set instead, handed on to stages and workers
)
DEBUGGING = (  # heeded, since who sets one of these looks for a fault; other code has other bits
    *("NUMBA_DISABLE_JIT", "NUMBA_OPT", "NUMBA_BOUNDSCHECK", "NUMBA_DEBUGINFO"),
    *("NUMBA_LOOP_VECTORIZE", "NUMBA_SLP_VECTORIZE"),
)
EXPECTED = {
    "Numba": ("x86-64-v3", "x86-64-v4"),
    **{"NumPy": ("X86_V3",), "OpenBLAS": ("Haswell",), "PyTorch": ("AVX2",)},
}
PYTHON = (3, 11)  # that made the committed results; the lock file has other packages for others
COMPUTING = (  # the packages whose version can move a bit
    *("llvmlite", "matplotlib", "numba", "numpy", "optuna", "pillow"),
    *("scikit-learn", "scipy", "torch"),
)
CPU, LOCK = "/proc/cpuinfo", "requirements.lock"


def settle() -> None:
    """Set the variables, where the processor can do what they ask for."""
    if missing() or HOST in os.environ:
        return
    ours = VARIABLES if lacking(AVX512) else VARIABLES | WIDE
    unheeded = [
        f"{name}={os.environ[name]}"
        for name in (CONTRARY, *ours)
        # Another kind of machine may have handed its environment on.
        if os.environ.get(name, "") not in {"", VARIABLES.get(name), WIDE.get(name)}
    ]
    if unheeded:
        os.environ[UNHEEDED] = " ".join(unheeded)
    os.environ.pop(CONTRARY, None)
    os.environ.update(ours)


def missing() -> str:
    """What this processor is or lacks, so that it cannot give the bits; empty if it can."""
    system = os.uname()
    if system.machine != "x86_64":
        return f"this processor is of another architecture ({system.machine})"
    if not os.path.exists(CPU):
        return f"what this processor can do is not known ({system.sysname} has no {CPU})"
    needed = lacking(("avx2", "fma", "bmi2", "movbe", "f16c"))
    return f"this processor has no {needed[0].upper()}" if needed else ""


def lacking(flags: tuple[str, ...]) -> list[str]:
    """Those of the flags that Linux does not name of this processor."""
    with open(CPU, encoding="utf-8", errors="replace") as lines:
        found = next((line.split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in flags if flag not in found]


@contextmanager
def one_thread(flush_denormals: bool = False) -> Iterator[None]:
    """Within the block sums are taken in one order, whatever the number of cores.

    With `flush_denormals` this thread also takes numbers below 1e-38 for zero: a network whose
    units die makes many, at ten times the cost of others.
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    torch.set_flush_denormal(flush_denormals)
    with threadpool_limits(1):
        yield


@contextmanager
def two_threads() -> Iterator[None]:
    """Within the block scikit-learn's loops have two threads, on a machine with one core too.

    Their sums are then of two parts, which give the same number in either order; of three they
    would not.
    """
    from threadpoolctl import threadpool_limits

    # Without it scikit-learn takes no more threads than there are cores.
    with variables({"OMP_NUM_THREADS": "2"}), threadpool_limits(2, user_api="openmp"):
        yield


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables within the block; as before after it."""
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name)
        os.environ.update(before)


def in_force() -> dict[str, str]:
    """What each library works with that this process has imported: see EXPECTED."""
    found: dict[str, str] = {}
    if "numba" in sys.modules:
        from llvmlite.binding import get_host_cpu_name
        from numba import config

        name = config.CPU_NAME  # pyright: ignore[reportAttributeAccessIssue]
        found["Numba"] = name or get_host_cpu_name()
    if "numpy" in sys.modules:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
        from threadpoolctl import threadpool_info

        enabled = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
        found["NumPy"] = enabled[-1] if enabled else "none of its own"
        for library in threadpool_info():
            if library["internal_api"] == "openblas":
                found["OpenBLAS"] = library["architecture"]
    if "torch" in sys.modules:
        import torch

        found["PyTorch"] = torch.backends.cpu.get_cpu_capability()
    return found


def kind() -> str:
    """A name for this process's arithmetic: equal where equal calls give equal bits."""
    found = in_force()
    others = [f"{name} {one}" for name, one in found.items() if one not in EXPECTED[name]]
    return ", ".join(others) or VARIABLES["NUMBA_CPU_NAME"]


def departures() -> list[str]:
    """Why the last digits of what this process makes will not be those of the committed results."""
    reasons = [missing()] if missing() else []
    if HOST in os.environ:
        reasons.append(f"{HOST} asks for this processor's own vectors")
    elif not reasons:
        reasons += [
            f"{name} works with {found} instead of {' or '.join(EXPECTED[name])}"
            for name, found in in_force().items()
            if found not in EXPECTED[name]
        ]
    reasons += [f"{name} is set" for name in DEBUGGING if name in os.environ]
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            reasons.append("a GPU trains")
    if sys.version_info[:2] != PYTHON:
        reasons.append("this Python is not {}.{}".format(*PYTHON))
    return reasons + other_versions(LOCK)


def other_versions(lock: str) -> list[str]:
    """Installed packages that compute and are not of a version that the lock file names."""
    from importlib.metadata import version

    if not os.path.exists(lock):
        return []
    with open(lock, encoding="utf-8") as lines:
        entries = [line.partition("==") for line in lines if line[0].isalnum()]
    locked = {(name, rest.split()[0].rstrip(";")) for name, _, rest in entries}
    return [
        f"{name} is {version(name)}, not that of {lock}"
        for name in COMPUTING
        if (name, version(name)) not in locked
    ]


def notices() -> list[str]:
    """What a person should know of this run's arithmetic, in sentences; mostly nothing."""
    found = []
    if unheeded := os.environ.get(UNHEEDED):
        found.append(
            f"not heeded, so that results are the same on every machine: {unheeded}; unset what "
            f"you do not need, or set {HOST}=1 for this processor's own vectors."
        )
    if reasons := departures():
        found.append(
            "the last digits of this run's results will not be those of the committed ones: "
            f"{'; '.join(reasons)}."
        )
    return found

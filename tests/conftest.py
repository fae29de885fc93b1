"""One thread for PyTorch, as in trainings: busy cores slow tests that run side by side."""

import latent_digits  # noqa: F401, I001  (before NumPy, as in a stage)

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from latent_digits import engine
from latent_digits.tracking.addresses import sqlite_address
from kills import Smoke, smoke_run
from smoke import PROJECT

torch.set_num_threads(1)
gc.set_threshold(700, 10, 10)  # Python's own: what a test leaves open is told then, not much later
os.environ["DVC_NO_ANALYTICS"] = "1"  # else each of DVC's commands starts a process to report it
# Files that begin first, in this order, so that the end finds both cores busy. The golden digests
# compile the kernels, which the scratch copies of the pipeline bring along.
FIRST = (
    *("test_golden", "test_parent_runs", "test_pipeline", "test_ranks", "test_kills"),
    *("test_own_code", "test_registry", "test_compare", "test_workers", "test_starting"),
)
SLOW = {"data_base", "smoke"}  # fixtures of a pipeline or an MLflow data base


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; what uses a slow fixture is slow. Other tests are marked so."""
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        if isinstance(item, pytest.Function) and SLOW & {*item.fixturenames}:
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def own_path() -> Iterator[None]:
    """A model that MLflow loads leaves its part of this package where Python looks first."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    """No user and password, which MLflow is given in the environment, outlive their test."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")


@pytest.fixture(params=["kernels", "operations"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to compute: the engine's kernels, and PyTorch's operations."""
    with engine.off() if request.param == "operations" else nullcontext():
        yield request.param


@pytest.fixture(scope="session")
def data_base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Gives a file the tables of an MLflow data base, and returns its address.

    MLflow makes them by dozens of migrations, which takes seconds; so it does once, and the rest
    are copies. Tests that run side by side share it: `set_up` lets one of them be first.
    """
    from latent_digits.tracking.mlflow.server import set_up

    made = of_all_workers(tmp_path_factory) / "mlflow.db"
    set_up(made)

    def copy(file: Path) -> str:
        shutil.copy(made, file)
        return sqlite_address(file)

    return copy


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """The eight stages' run with tiny budgets. `test_pipeline` alone changes its folder."""
    return smoke_run(of_all_workers(tmp_path_factory) / "smoke")


def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that tests which run side by side share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's code, current: what a stage's resume cache is keyed by."""
    for name in ("dvc.yaml", "src", "stages"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path

"""One thread, as trainings run: two are no faster for these networks, and busy cores slow both."""

import latent_digits  # noqa: F401, I001  (before NumPy, as in a stage)

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from latent_digits import engine
from smoke import PROJECT

torch.set_num_threads(1)


@pytest.fixture(params=["kernels", "operations"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to compute: the engine's kernels, and PyTorch's operations."""
    with engine.off() if request.param == "operations" else nullcontext():
        yield request.param


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's code, current: what a stage's state is keyed by."""
    for name in ("dvc.yaml", "src", "stages"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path

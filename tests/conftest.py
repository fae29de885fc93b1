"""One thread, as trainings run: two are no faster for these networks, and busy cores slow both."""

import latent_digits  # noqa: F401, I001  (before NumPy, as in a stage)

import shutil
from pathlib import Path

import pytest
import torch

from smoke import PROJECT

torch.set_num_threads(1)


@pytest.fixture(params=["kernels", "operations"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to compute a layer: the CPU's kernels, and PyTorch's operations, as on a GPU."""
    if request.param == "operations":
        monkeypatch.setattr(torch.Tensor, "is_cpu", False, raising=False)
    return request.param


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's code, current: what a stage's state is keyed by."""
    for name in ("dvc.yaml", "src", "stages"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path

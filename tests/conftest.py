"""One thread, as trainings run: two are no faster for these networks, and busy cores slow both."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(params=["kernels", "operations"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to compute a layer: the CPU's kernels, and PyTorch's operations, as on a GPU."""
    if request.param == "operations":
        monkeypatch.setattr(torch.Tensor, "is_cpu", False, raising=False)
    return request.param

"""Stored pixels become floats in [0, 1], batch-last in memory."""

import pytest
import torch

from latent_digits.engine.pixels import as_input

pytestmark = pytest.mark.usefixtures("way")


@pytest.mark.parametrize("index", [None, torch.tensor([4, 0, 4]), torch.arange(19) % 5])
def test_values_shape_and_memory(index: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    stored = torch.randint(0, 256, (5, 1, 3, 2), dtype=torch.uint8)
    x = as_input(stored, index)
    chosen = stored if index is None else stored[index]
    assert torch.equal(x, chosen.float() / 255)
    assert x.movedim(0, -1).is_contiguous()


def test_floats_stay_as_they_are() -> None:
    latents = torch.rand(5, 3)
    assert as_input(latents) is latents
    assert torch.equal(as_input(latents, torch.tensor([2, 1])), latents[[2, 1]])

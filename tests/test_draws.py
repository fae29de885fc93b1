"""Draws follow the memory of what they are drawn for."""

import pytest
import torch

from latent_digits.draws import draw_like


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_shape_memory_and_values(order: tuple[int, int, int]) -> None:
    x = torch.zeros(2, 3, 4).permute(order)
    torch.manual_seed(0)
    drawn = draw_like(torch.rand, x)
    torch.manual_seed(0)
    values = torch.rand(24)
    assert drawn.shape == x.shape
    assert drawn.stride() == x.stride()
    assert torch.equal(drawn.flatten().sort().values, values.sort().values)

"""Dropout drops the share that it says, scales the rest, and does nothing in eval mode."""

import pytest
import torch

from latent_digits.dropout import LEVELS, Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p: float) -> None:
    torch.manual_seed(0)
    y = Dropout(p)(torch.ones(1000, 1001))
    kept = y[y != 0]
    assert 1 - kept.numel() / y.numel() == pytest.approx(p, abs=2e-3)
    exact = LEVELS / (LEVELS - round(p * LEVELS))
    assert torch.all(kept == exact)
    assert y.mean().item() == pytest.approx(1, abs=0.01)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(0)
    kept = Dropout(0.5)(torch.ones(400_000)).bool().view(-1, 4).float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 0.02


def test_whole_channels_of_batch_last_images() -> None:
    torch.manual_seed(0)
    y = Dropout(0.5, channels=True)(torch.ones(8, 5, 5, 64))
    assert torch.equal(y, y[:, :1, :1].expand_as(y))
    assert 0.3 < (y == 0).float().mean() < 0.7


def test_extremes_and_eval_mode() -> None:
    x = torch.rand(10, 10)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
    assert torch.equal(Dropout(0.9).eval()(x), x)


def test_mask_follows_the_memory_of_the_input() -> None:
    x = torch.rand(6, 4).t()
    y = Dropout(0.5)(x)
    assert y.stride() == x.stride()


def test_gradient_passes_the_same_mask() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())

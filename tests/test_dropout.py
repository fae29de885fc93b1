"""ReluDropout drops the share that it says, scales the rest, and is plain ReLU in eval mode."""

import pytest
import torch

from latent_digits.dropout import LEVELS, ReluDropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p: float) -> None:
    torch.manual_seed(0)
    y = ReluDropout(p)(torch.ones(1000, 1001))
    kept = y[y != 0]
    assert 1 - kept.numel() / y.numel() == pytest.approx(p, abs=2e-3)
    torch.testing.assert_close(kept, torch.full_like(kept, LEVELS / (LEVELS - round(p * LEVELS))))
    assert y.mean().item() == pytest.approx(1, abs=0.01)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(0)
    kept = ReluDropout(0.5)(torch.ones(400_000)).bool().view(-1, 4).float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 0.02


def test_whole_channels_of_batch_last_images() -> None:
    torch.manual_seed(0)
    y = ReluDropout(0.5, channels=True)(torch.ones(8, 5, 5, 64))
    assert torch.equal(y, y[:, :1, :1].expand_as(y))
    assert 0.3 < (y == 0).float().mean() < 0.7


def test_extremes_and_eval_mode() -> None:
    x = torch.randn(10, 10)
    relu = x.relu()
    assert torch.equal(ReluDropout(0.0)(x.clone()), relu)
    assert not ReluDropout(1.0)(x.clone()).any()
    assert torch.equal(ReluDropout(0.9).eval()(x.clone()), relu)


@pytest.mark.parametrize("channels", [False, True])
def test_the_gradient_is_that_of_relu_and_a_mask(channels: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 5, 5, 64, requires_grad=True)
    y = ReluDropout(0.3, channels)(x + 0.0)
    weights = torch.rand_like(y)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    mask = torch.where(y > 0, y / x, 0.0).detach()
    torch.testing.assert_close(gradient, mask * weights)

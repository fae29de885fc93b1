"""ReluDropout drops the share that it says, scales the rest, and is plain ReLU in eval mode."""

import pytest
import torch
from torch import Tensor

from latent_digits.engine.draws import LEVELS
from latent_digits.engine.dropout import ReluDropout
from latent_digits.engine.stack import Linear, Reshape, Stack

pytestmark = pytest.mark.usefixtures("way")


def after(layer: ReluDropout, x: Tensor) -> tuple[Tensor, Tensor]:
    """The layer's output for activations `x` [..., B], and the gradient of its sum."""
    images = x.shape[-1]
    same = Linear(images, x[..., 0].numel())  # whose weight times the unit matrix is `x`
    with torch.no_grad():
        same.weight.copy_(x.view(-1, images))
        same.bias.zero_()
    stack = Stack(same, Reshape(*x.shape[:-1]), layer).train(layer.training)
    y = stack(torch.eye(images))
    y.sum().backward()
    return y.detach().movedim(0, -1), same.weight.grad.view_as(x)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p: float) -> None:
    torch.manual_seed(0)
    y, _ = after(ReluDropout(p), torch.ones(1000, 1001))
    kept = y[y != 0]
    assert 1 - kept.numel() / y.numel() == pytest.approx(p, abs=2e-3)
    torch.testing.assert_close(kept, torch.full_like(kept, LEVELS / (LEVELS - round(p * LEVELS))))
    assert y.mean().item() == pytest.approx(1, abs=0.01)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(0)
    y, _ = after(ReluDropout(0.5), torch.ones(400_000, 1))
    kept = y.bool().view(-1, 4).float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 0.02


def test_whole_channels_of_batch_last_images() -> None:
    torch.manual_seed(0)
    y, _ = after(ReluDropout(0.5, channels=True), torch.ones(8, 5, 5, 64))
    assert torch.equal(y, y[:, :1, :1].expand_as(y))
    assert 0.3 < (y == 0).float().mean() < 0.7


def test_extremes_and_eval_mode() -> None:
    x = torch.randn(10, 10)
    relu = x.relu()
    assert torch.equal(after(ReluDropout(0.0), x)[0], relu)
    assert not after(ReluDropout(1.0), x)[0].any()
    assert torch.equal(after(ReluDropout(0.9).eval(), x)[0], relu)


@pytest.mark.parametrize("channels", [False, True])
def test_the_gradient_is_that_of_relu_and_a_mask(channels: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 5, 5, 64)
    y, gradient = after(ReluDropout(0.3, channels), x)
    torch.testing.assert_close(gradient, torch.where(y > 0, y / x, 0.0))

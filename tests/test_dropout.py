"""ReluDropout drops the share that it says, scales the rest, and is plain ReLU in eval mode."""

import pytest
import torch
from torch import Tensor

from latent_digits.draws import LEVELS
from latent_digits.dropout import ReluDropout

pytestmark = pytest.mark.usefixtures("way")


def after(layer: ReluDropout, x: Tensor) -> Tensor:
    """The layer's output for `x`, which stays as it is."""
    return layer.run(x.clone())[0]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p: float) -> None:
    torch.manual_seed(0)
    y = after(ReluDropout(p), torch.ones(1000, 1001))
    kept = y[y != 0]
    assert 1 - kept.numel() / y.numel() == pytest.approx(p, abs=2e-3)
    torch.testing.assert_close(kept, torch.full_like(kept, LEVELS / (LEVELS - round(p * LEVELS))))
    assert y.mean().item() == pytest.approx(1, abs=0.01)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(0)
    kept = after(ReluDropout(0.5), torch.ones(400_000)).bool().view(-1, 4).float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 0.02


def test_whole_channels_of_batch_last_images() -> None:
    torch.manual_seed(0)
    y = after(ReluDropout(0.5, channels=True), torch.ones(8, 5, 5, 64))
    assert torch.equal(y, y[:, :1, :1].expand_as(y))
    assert 0.3 < (y == 0).float().mean() < 0.7


def test_extremes_and_eval_mode() -> None:
    x = torch.randn(10, 10)
    relu = x.relu()
    assert torch.equal(after(ReluDropout(0.0), x), relu)
    assert not after(ReluDropout(1.0), x).any()
    assert torch.equal(after(ReluDropout(0.9).eval(), x), relu)


@pytest.mark.parametrize("channels", [False, True])
def test_the_gradient_is_that_of_relu_and_a_mask(channels: bool) -> None:
    torch.manual_seed(0)
    layer = ReluDropout(0.3, channels)
    x = torch.randn(8, 5, 5, 64)
    y, saved = layer.run(x.clone())
    gradient = torch.rand_like(y)
    of_x, of_parameters = layer.vjp(saved, gradient, first=False)
    assert of_parameters == []
    torch.testing.assert_close(of_x, torch.where(y > 0, y / x, 0.0) * gradient)

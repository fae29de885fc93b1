"""Losses against hand-computed values and torch's own."""

import math

import pytest
import torch
import torch.nn.functional as F

from latent_digits.models import losses


@pytest.mark.usefixtures("way")
def test_squared_errors_by_hand() -> None:
    x, x_hat = torch.zeros(2, 1, 2, 2), torch.tensor([[[[1.0, 0], [0, 2]]], [[[0, 0], [0, 0]]]])
    assert losses.squared_error(x_hat, x).tolist() == [5, 0]
    assert losses.mean_squared_error(x_hat, x).tolist() == [1.25, 0]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", [(3, 1, 4, 5), (3, 7), (1, 1)])
def test_the_squared_errors_gradient_is_torchs(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x, one = torch.rand(shape), torch.rand(shape).requires_grad_()
    other = one.detach().clone().requires_grad_()
    weights = torch.rand(len(x))
    (losses.squared_error(one, x) @ weights).backward()
    (F.mse_loss(other, x, reduction="none").flatten(1).sum(1) @ weights).backward()
    torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.usefixtures("way")
def test_two_shapes_are_refused() -> None:
    one, other = torch.rand(3, 1, 4, 5), torch.rand(3, 1, 5, 5)
    for loss in (losses.squared_error, losses.mean_squared_error, losses.kl_divergence):
        with pytest.raises(ValueError, match=r"is \(3, 1, 4, 5\) and .* \(3, 1, 5, 5\)"):
            loss(one, other)


@pytest.mark.usefixtures("way")
def test_kl_by_hand_and_against_torch() -> None:
    assert losses.kl_divergence(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0
    mu, log_var = torch.tensor([[1.0]]), torch.tensor([[math.log(4.0)]])
    assert losses.kl_divergence(mu, log_var).item() == pytest.approx(
        0.5 * (4 + 1 - 1 - math.log(4))
    )
    torch.manual_seed(0)
    mu, log_var = torch.randn(5, 7, requires_grad=True), torch.randn(5, 7, requires_grad=True)
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(normal(mu, (log_var / 2).exp()), normal(0.0, 1.0))
    ours = losses.kl_divergence(mu, log_var)
    torch.testing.assert_close(ours, theirs.sum(1))
    weights = torch.rand(5)
    expected = torch.autograd.grad(theirs.sum(1) @ weights, (mu, log_var))
    actual = torch.autograd.grad(ours @ weights, (mu, log_var))
    torch.testing.assert_close(actual, expected)


@pytest.mark.usefixtures("way")
def test_a_divergence_is_not_hidden() -> None:
    mu = torch.zeros(9, 1)
    for log_var in (89.0, 1000.0, math.inf, math.nan):
        assert not losses.kl_divergence(mu, torch.full_like(mu, log_var)).isfinite().any()


def test_classification() -> None:
    logits, labels = torch.tensor([[0.0, 2.0], [3.0, 1.0]]), torch.tensor([1, 1])
    assert losses.accuracy(logits, labels).tolist() == [1, 0]
    expected = F.cross_entropy(logits, labels)
    torch.testing.assert_close(losses.cross_entropy(logits, labels).mean(), expected)

"""Losses against hand-computed values and torch's own."""

import math

import pytest
import torch
import torch.nn.functional as F

from latent_digits import losses


def test_squared_errors_by_hand() -> None:
    x, x_hat = torch.zeros(2, 1, 2, 2), torch.tensor([[[[1.0, 0], [0, 2]]], [[[0, 0], [0, 0]]]])
    assert losses.squared_error(x_hat, x).tolist() == [5, 0]
    assert losses.mean_squared_error(x_hat, x).tolist() == [1.25, 0]


def test_kl_by_hand_and_against_torch() -> None:
    assert losses.kl_divergence(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0
    mu, log_var = torch.tensor([[1.0]]), torch.tensor([[math.log(4.0)]])
    assert losses.kl_divergence(mu, log_var).item() == pytest.approx(
        0.5 * (4 + 1 - 1 - math.log(4))
    )
    torch.manual_seed(0)
    mu, log_var = torch.randn(5, 7), torch.randn(5, 7)
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(normal(mu, (log_var / 2).exp()), normal(0.0, 1.0))
    torch.testing.assert_close(losses.kl_divergence(mu, log_var), theirs.sum(1))


def test_classification() -> None:
    logits, labels = torch.tensor([[0.0, 2.0], [3.0, 1.0]]), torch.tensor([1, 1])
    assert losses.accuracy(logits, labels).tolist() == [1, 0]
    expected = F.cross_entropy(logits, labels)
    torch.testing.assert_close(losses.cross_entropy(logits, labels).mean(), expected)

"""Losses as pure functions: one value an image, [B]; what is summed or averaged is in the name.

x image, x_hat reconstruction, both [B, 1, H, W]; mu and log_var [B, Z].
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error summed over the pixels: the report's reconstruction term for the VAE."""
    return F.mse_loss(x_hat, x, reduction="none").flatten(1).sum(1)


def mean_squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error averaged over the pixels: the report's MSE."""
    return F.mse_loss(x_hat, x, reduction="none").flatten(1).mean(1)


def kl_divergence(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL[N(mu, exp(log_var)) || N(0, 1)] summed over the latents, in nats.

    Kingma & Welling 2014, appendix B.
    """
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of the labels, in nats."""
    return F.cross_entropy(logits, labels, reduction="none")


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the largest logit is the label's, else 0."""
    return (logits.argmax(1) == labels).to(torch.float32)

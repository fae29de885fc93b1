"""Losses, noise and a training loop around the study's networks, as PyTorch's users write them.

`Plain` is PyTorch as its tutorials write it: its own layers, eager, a tensor sliced into batches.
The other ways (`seed_way`, `pythae_way`) put their trainers around the same networks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_digits.models.networks import Autoencoder, VariationalAutoencoder

LATENT_DIM, DROPOUT = 33, 1.19e-3
BATCH = {"ae": 128, "denoiser": 128, "vae": 64}
# For all: at the original report's 5.4e-3 without a warm-up many trainings fail to learn, and then
# compute with denormal numbers, five times slower.
LR = 1e-3


class PlainVae(VariationalAutoencoder):
    """The study's, with samples as PyTorch's users draw them."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        return self.decoder(z), mu, log_var


def plain_model(kind: str) -> nn.Module:
    """The study's network, which PyTorch runs: it is not given to the engine."""
    return PlainVae(LATENT_DIM) if kind == "vae" else Autoencoder(LATENT_DIM, DROPOUT)


def loss_of(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The VAE's squared error + KL an image, or the MSE."""
    if isinstance(model, PlainVae):
        x_hat, mu, log_var = model(x)
        kl = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum()
        return (F.mse_loss(x_hat, target, reduction="sum") + kl) / len(x)
    return F.mse_loss(model(x), target)


def noisy(x: Tensor) -> Tensor:
    """The text's noise."""
    x = (x + x * torch.randn_like(x) * 0.5**0.5).clamp(0, 1)
    u = torch.rand_like(x)
    x = torch.where(u < 0.025, 0.0, torch.where(u > 0.975, 1.0, x))
    return (x + 0.5 + torch.randn_like(x) * 0.3**0.5).clamp(0, 1)


def pixels(images: Tensor) -> Tensor:
    return images.float() / 255


class Plain:
    """One epoch of training and one of validation, as a PyTorch tutorial has it."""

    def __init__(self, kind: str, train: Tensor, val: Tensor):
        self.kind, self.train, self.val = kind, train, val
        self.seen = noisy(pixels(val)) if kind == "denoiser" else val  # drawn once
        self.model = plain_model(kind)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)

    def train_epoch(self) -> float:
        self.model.train()
        total = 0.0
        for batch in torch.randperm(len(self.train)).split(BATCH[self.kind]):
            x = pixels(self.train[batch])
            self.optimizer.zero_grad()
            loss = loss_of(self.model, noisy(x) if self.kind == "denoiser" else x, x)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total

    @torch.no_grad()
    def validate(self) -> float:
        self.model.eval()
        total = 0.0
        batch = BATCH[self.kind]
        for seen, clean in zip(self.seen.split(batch), self.val.split(batch), strict=True):
            x = seen if self.kind == "denoiser" else pixels(seen)
            total += loss_of(self.model, x, pixels(clean)).item()
        return total

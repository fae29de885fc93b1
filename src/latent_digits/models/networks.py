"""The report's networks. B batch, C channel, H W pixels, Z latent; images are [B, 1, 28, 28].

Models return tensors and compute no loss. Chains of layers run as one, with activations batch-last
between them: see `latent_digits.engine.stack`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from latent_digits.engine import kernels
from latent_digits.engine.convolutions import Conv2d, ConvTranspose2d
from latent_digits.engine.draws import draw_keys, draw_like, normal_levels, share_of
from latent_digits.engine.dropout import ReluDropout
from latent_digits.engine.stack import (
    Composition,
    Layer,
    Linear,
    Reshape,
    Sigmoid,
    Stack,
    as_array,
    batch_last,
    has_kernel,
)

FEATURES = 32 * 3 * 3


def convolutions(dropout: float) -> list[Layer]:
    """Images to features [B, 288]."""
    return [
        Conv2d(1, 8, padding=1),  # [8, 14, 14]
        ReluDropout(dropout, channels=True),
        Conv2d(8, 16, padding=1),  # [16, 7, 7]
        ReluDropout(dropout),
        Conv2d(16, 32, padding=0),  # [32, 3, 3]
        ReluDropout(dropout),
        Reshape(FEATURES),
    ]


def projection(latent_dim: int, dropout: float) -> list[Layer]:
    """Features [B, 288] to latents [B, Z]; any real value."""
    return [Linear(FEATURES, 64), ReluDropout(dropout), Linear(64, latent_dim)]


class Encoder(Stack):
    """Images [B, 1, 28, 28] to latents [B, Z]; 24,384 + 65·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__(*convolutions(dropout), *projection(latent_dim, dropout))


class Decoder(Stack):
    """Latents [B, Z] to images [B, 1, 28, 28] in (0, 1); 24,641 + 64·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__(
            Linear(latent_dim, 64),
            ReluDropout(dropout),
            Linear(64, FEATURES),
            ReluDropout(dropout),
            Reshape(32, 3, 3),
            ConvTranspose2d(32, 16, padding=0, output_padding=0),  # [16, 7, 7]
            ReluDropout(dropout),
            ConvTranspose2d(16, 8, padding=1, output_padding=1),  # [8, 14, 14]
            ReluDropout(dropout, channels=True),
            ConvTranspose2d(8, 1, padding=1, output_padding=1),  # [1, 28, 28]
            Sigmoid(),
        )


class Autoencoder(nn.Module):
    """Images to their reconstructions, through a latent vector of length Z."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = Encoder(latent_dim, dropout)
        self.decoder = Decoder(latent_dim, dropout)
        self.compose = Composition()

    def forward(self, x: Tensor) -> Tensor:
        return self.compose(x, self.encoder, self.decoder)


class VariationalAutoencoder(nn.Module):
    """Images to (reconstruction of a sample, mu, log_var): Kingma & Welling 2014, no dropout."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.convolutions = Stack(*convolutions(dropout=0.0))
        self.mu = Stack(*projection(latent_dim, dropout=0.0))
        self.log_var = Stack(*projection(latent_dim, dropout=0.0))
        self.decoder = Decoder(latent_dim, dropout=0.0)
        self.compose = Composition()

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), [B, Z] each."""
        both = self.compose(x, self.convolutions, self.mu, self.log_var)
        mu, log_var = both.chunk(2, dim=1)
        return mu, log_var

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = self.encode(x)
        return self.decoder(sample(mu, log_var)), mu, log_var


def sample(mu: Tensor, log_var: Tensor) -> Tensor:
    """A draw from N(mu, exp(log_var)), with its derivative: the reparametrization trick."""
    if has_kernel(mu):
        return Sample.apply(mu, log_var)
    return mu + draw_like(torch.randn, mu) * log_var.mul(0.5).exp()


class Sample(torch.autograd.Function):
    """`sample` on the CPU."""

    @staticmethod
    def forward(ctx: Any, mu: Tensor, log_var: Tensor) -> Tensor:
        given = as_array(mu), as_array(log_var)
        ctx.offset, out = np.empty_like(given[0]), np.empty_like(given[0])
        draws = draw_keys(1)[0], *share_of(len(mu)), normal_levels()
        arrays: tuple[Any, ...] = (*given, *draws, ctx.offset, out)
        kernels.sample(*arrays)
        return torch.from_numpy(out).t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        gradient = batch_last(gradients[0])
        out = torch.empty_like(gradient)
        kernels.sample_vjp(gradient.numpy(), ctx.offset, out.numpy())
        return gradients[0], out.t()


class Head(Stack):
    """Latents [B, Z] to the logits of ten digits [B, 10]."""

    def __init__(self, latent_dim: int, hidden: int):
        super().__init__(Linear(latent_dim, hidden), ReluDropout(0.0), Linear(hidden, 10))


class Classifier(nn.Module):
    """Images to the logits of ten digits, through an encoder."""

    def __init__(self, encoder: Encoder, head: Head):
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.compose = Composition()

    def forward(self, x: Tensor) -> Tensor:
        return self.compose(x, self.encoder, self.head)


def parameter_count(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

"""The report's networks. B batch, C channel, H W pixels, Z latent; images are [B, 1, 28, 28].

Models return tensors and compute no loss. Between the image and the 288 features, activations are
laid out as [C, H, W, B]: see `latent_digits.convolutions`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_digits.convolutions import Conv2d, ConvTranspose2d
from latent_digits.dropout import ReluDropout

FEATURES = 32 * 3 * 3


class Convolutions(nn.Module):
    """Images [B, 1, 28, 28] to features [B, 288]."""

    def __init__(self, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            Conv2d(1, 8, padding=1),  # [8, 14, 14, B]
            ReluDropout(dropout, channels=True),
            Conv2d(8, 16, padding=1),  # [16, 7, 7, B]
            ReluDropout(dropout),
            Conv2d(16, 32, padding=0),  # [32, 3, 3, B]
            ReluDropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        batch_last = x.permute(1, 2, 3, 0).contiguous()  # [1, 28, 28, B]
        return self.layers(batch_last).flatten(0, 2).t()  # [B, 288]


class Projection(nn.Sequential):
    """Features [B, 288] to latents [B, Z]; any real value."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__(nn.Linear(FEATURES, 64), ReluDropout(dropout), nn.Linear(64, latent_dim))


class Encoder(nn.Module):
    """Images [B, 1, 28, 28] to latents [B, Z]; 24,384 + 65·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__()
        self.convolutions = Convolutions(dropout)
        self.projection = Projection(latent_dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.convolutions(x))


class Decoder(nn.Module):
    """Latents [B, Z] to images [B, 1, 28, 28] in (0, 1); 24,641 + 64·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__()
        self.expansion = nn.Sequential(
            nn.Linear(latent_dim, 64),
            ReluDropout(dropout),
            nn.Linear(64, FEATURES),
            ReluDropout(dropout),
        )
        self.layers = nn.Sequential(
            ConvTranspose2d(32, 16, padding=0, output_padding=0),  # [16, 7, 7, B]
            ReluDropout(dropout),
            ConvTranspose2d(16, 8, padding=1, output_padding=1),  # [8, 14, 14, B]
            ReluDropout(dropout, channels=True),
            ConvTranspose2d(8, 1, padding=1, output_padding=1),  # [1, 28, 28, B]
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        batch_last = self.expansion(z).t().reshape(32, 3, 3, len(z))
        return self.layers(batch_last).permute(3, 0, 1, 2)


class Autoencoder(nn.Module):
    """Images to their reconstructions, through a latent vector of length Z."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__()
        self.encoder = Encoder(latent_dim, dropout)
        self.decoder = Decoder(latent_dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class VariationalAutoencoder(nn.Module):
    """Images to (reconstruction of a sample, mu, log_var): Kingma & Welling 2014, no dropout."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.convolutions = Convolutions(dropout=0.0)
        self.mu = Projection(latent_dim, dropout=0.0)
        self.log_var = Projection(latent_dim, dropout=0.0)
        self.decoder = Decoder(latent_dim, dropout=0.0)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), [B, Z] each."""
        features = self.convolutions(x)
        return self.mu(features), self.log_var(features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)  # the reparametrization trick
        return self.decoder(z), mu, log_var


class Head(nn.Module):
    """Latents [B, Z] to the logits of ten digits [B, 10]."""

    def __init__(self, latent_dim: int, hidden: int):
        super().__init__()
        self.hidden = nn.Linear(latent_dim, hidden)
        self.logits = nn.Linear(hidden, 10)

    def forward(self, z: Tensor) -> Tensor:
        return self.logits(F.relu(self.hidden(z)))


class Classifier(nn.Module):
    """Images to the logits of ten digits, through an encoder."""

    def __init__(self, encoder: Encoder, head: Head):
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))


def parameter_count(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

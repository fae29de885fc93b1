"""The original report's networks, in PyTorch's own layers. B batch, C channel, H W pixels, Z
latent.

Images are [B, 1, 28, 28]. Models return tensors and compute no loss. `latent_digits.engine` makes
the sequences of layers fast where it has kernels for them; any other layer may stand here as well.
"""

from collections import OrderedDict

from torch import Tensor, nn

from latent_digits.engine.functional import normal_sample

FEATURES = 32 * 3 * 3


def convolutions(dropout: float) -> list[nn.Module]:
    """Images to features [B, 288]."""
    return [
        nn.Conv2d(1, 8, 3, stride=2, padding=1),  # [8, 14, 14]
        nn.ReLU(),
        nn.Dropout2d(dropout),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),  # [16, 7, 7]
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(16, 32, 3, stride=2),  # [32, 3, 3]
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
    ]


def projection(latent_dim: int, dropout: float) -> list[nn.Module]:
    """Features [B, 288] to latents [B, Z]; any real value."""
    return [
        nn.Linear(FEATURES, 64),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(64, latent_dim),
    ]


class Encoder(nn.Sequential):
    """Images [B, 1, 28, 28] to latents [B, Z]; 24,384 + 65·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__(*convolutions(dropout), *projection(latent_dim, dropout))


class Decoder(nn.Sequential):
    """Latents [B, Z] to images [B, 1, 28, 28] in (0, 1); 24,641 + 64·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float):
        super().__init__(
            nn.Linear(latent_dim, 64),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(64, FEATURES),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Unflatten(1, (32, 3, 3)),
            nn.ConvTranspose2d(32, 16, 3, stride=2),  # [16, 7, 7]
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),  # [8, 14, 14]
            nn.ReLU(),
            nn.Dropout2d(dropout),
            nn.ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1),  # [1, 28, 28]
            nn.Sigmoid(),
        )


class Autoencoder(nn.Sequential):
    """Images to their reconstructions, through a latent vector of length Z."""

    encoder: Encoder
    decoder: Decoder

    def __init__(self, latent_dim: int, dropout: float):
        encoder, decoder = Encoder(latent_dim, dropout), Decoder(latent_dim, dropout)
        super().__init__(OrderedDict(encoder=encoder, decoder=decoder))
        self.latent_dim = latent_dim


class VariationalAutoencoder(nn.Module):
    """Images to (reconstruction of a sample, mu, log_var): Kingma & Welling 2014, no dropout."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.convolutions = nn.Sequential(*convolutions(dropout=0.0))
        self.mu = nn.Sequential(*projection(latent_dim, dropout=0.0))
        self.log_var = nn.Sequential(*projection(latent_dim, dropout=0.0))
        self.decoder = Decoder(latent_dim, dropout=0.0)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), [B, Z] each."""
        features = self.convolutions(x)
        return self.mu(features), self.log_var(features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = self.encode(x)
        return self.decoder(normal_sample(mu, log_var)), mu, log_var


class Head(nn.Sequential):
    """Latents [B, Z] to the logits of ten digits [B, 10]."""

    def __init__(self, latent_dim: int, hidden: int):
        super().__init__(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, 10))


class Classifier(nn.Sequential):
    """Images to the logits of ten digits, through an encoder."""

    encoder: Encoder
    head: Head

    def __init__(self, encoder: Encoder, head: Head):
        super().__init__(OrderedDict(encoder=encoder, head=head))


def parameter_count(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

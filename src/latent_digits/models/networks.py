"""The original report's networks, in PyTorch's own layers. B batch, C channel, H W pixels, Z
latent.

Images are [B, 1, S, S]. Models return tensors and compute no loss. `latent_digits.engine` makes
the sequences of layers fast where it has kernels for them; any other layer may stand here as well.
"""

from collections import OrderedDict

from torch import Tensor, nn

from latent_digits.engine.functional import normal_sample
from latent_digits.models.architecture import KERNEL, REPORTS, STRIDE, Architecture


def convolutions(architecture: Architecture, dropout: float) -> list[nn.Module]:
    """Images to features [B, F]; the sizes beside are the original report's."""
    first, second, third = architecture.channels
    paddings = architecture.paddings
    return [
        nn.Conv2d(1, first, KERNEL, STRIDE, paddings[0]),  # [8, 14, 14]
        nn.ReLU(),
        nn.Dropout2d(dropout),
        nn.Conv2d(first, second, KERNEL, STRIDE, paddings[1]),  # [16, 7, 7]
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(second, third, KERNEL, STRIDE, paddings[2]),  # [32, 3, 3]
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),  # [288]
    ]


def projection(architecture: Architecture, latent_dim: int, dropout: float) -> list[nn.Module]:
    """Features [B, F] to latents [B, Z]; any real value."""
    return [
        nn.Linear(architecture.features, architecture.units),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(architecture.units, latent_dim),
    ]


class Encoder(nn.Sequential):
    """Images [B, 1, S, S] to latents [B, Z]; in the report 24,384 + 65·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float, architecture: Architecture = REPORTS):
        super().__init__(
            *convolutions(architecture, dropout), *projection(architecture, latent_dim, dropout)
        )


class Decoder(nn.Sequential):
    """Latents [B, Z] to images [B, 1, S, S] in (0, 1); in the report 24,641 + 64·Z parameters."""

    def __init__(self, latent_dim: int, dropout: float, architecture: Architecture = REPORTS):
        first, second, third = architecture.channels
        side = architecture.sides[-1]
        super().__init__(
            nn.Linear(latent_dim, architecture.units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(architecture.units, architecture.features),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Unflatten(1, (third, side, side)),
            upsampling(third, second, architecture, 2),  # [16, 7, 7]
            nn.ReLU(),
            nn.Dropout(dropout),
            upsampling(second, first, architecture, 1),  # [8, 14, 14]
            nn.ReLU(),
            nn.Dropout2d(dropout),
            upsampling(first, 1, architecture, 0),  # [1, 28, 28]
            nn.Sigmoid(),
        )


def upsampling(
    inputs: int, outputs: int, architecture: Architecture, layer: int
) -> nn.ConvTranspose2d:
    """The transposed convolution that gives back the size that a convolution was given."""
    padding, (large, small) = architecture.paddings[layer], architecture.sides[layer : layer + 2]
    missing = large - (STRIDE * (small - 1) + KERNEL - 2 * padding)
    return nn.ConvTranspose2d(inputs, outputs, KERNEL, STRIDE, padding, output_padding=missing)


class Autoencoder(nn.Sequential):
    """Images to their reconstructions, through a latent vector of length Z."""

    encoder: Encoder
    decoder: Decoder

    def __init__(self, latent_dim: int, dropout: float, architecture: Architecture = REPORTS):
        encoder = Encoder(latent_dim, dropout, architecture)
        decoder = Decoder(latent_dim, dropout, architecture)
        super().__init__(OrderedDict(encoder=encoder, decoder=decoder))
        self.latent_dim = latent_dim


class VariationalAutoencoder(nn.Module):
    """Images to (reconstruction of a sample, mu, log_var): Kingma & Welling 2014, no dropout."""

    def __init__(self, latent_dim: int, architecture: Architecture = REPORTS):
        super().__init__()
        self.convolutions = nn.Sequential(*convolutions(architecture, dropout=0.0))
        self.mu = nn.Sequential(*projection(architecture, latent_dim, dropout=0.0))
        self.log_var = nn.Sequential(*projection(architecture, latent_dim, dropout=0.0))
        self.decoder = Decoder(latent_dim, 0.0, architecture)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), [B, Z] each."""
        features = self.convolutions(x)
        return self.mu(features), self.log_var(features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = self.encode(x)
        return self.decoder(normal_sample(mu, log_var)), mu, log_var


class Head(nn.Sequential):
    """Latents [B, Z] to the logits of the classes [B, K]."""

    def __init__(self, latent_dim: int, hidden: int, classes: int = 10):
        super().__init__(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, classes))


class Classifier(nn.Sequential):
    """Images to the logits of the classes, through an encoder."""

    encoder: Encoder
    head: Head

    def __init__(self, encoder: Encoder, head: Head):
        super().__init__(OrderedDict(encoder=encoder, head=head))


def parameter_count(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

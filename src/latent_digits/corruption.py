"""The report's noise: speckle, salt & pepper and Gaussian, on every image, in this order.

Images are [B, 1, H, W] in [0, 1], and are clipped to that range after each noise. Draws come from
torch's global generator, which the caller seeds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_digits.draws import LEVELS, draw_levels, draw_like
from latent_digits.pixels import as_input


@dataclass(frozen=True)
class Noise:
    """Strengths: N(mean, variance) for the Gaussians, a share of the pixels for salt & pepper."""

    gaussian_mean: float
    gaussian_variance: float
    salt_pepper: float
    speckle_variance: float

    def __call__(self, x: Tensor) -> Tensor:
        """`x` with all three noises; `x` itself is left as it is."""
        return self.gaussian(self.salt_and_pepper(self.speckle(x)))

    def speckle(self, x: Tensor) -> Tensor:
        """x + x·n with n ~ N(0, speckle_variance)."""
        n = draw_like(torch.randn, x).mul_(self.speckle_variance**0.5)
        return n.mul_(x).add_(x).clamp_(0, 1)

    def salt_and_pepper(self, x: Tensor) -> Tensor:
        """A share of the pixels set to 0 or 1, with equal chance."""
        levels = draw_levels(x.movedim(0, -1).shape, x).movedim(-1, 0)
        share = round(self.salt_pepper / 2 * LEVELS)  # a multiple of 2^-16 each
        pepper = levels >= share - LEVELS // 2
        salt = levels > LEVELS // 2 - 1 - share
        return x.mul(pepper).masked_fill_(salt, 1.0)

    def gaussian(self, x: Tensor) -> Tensor:
        """x + n with n ~ N(gaussian_mean, gaussian_variance)."""
        n = draw_like(torch.randn, x).mul_(self.gaussian_variance**0.5)
        return n.add_(self.gaussian_mean).add_(x).clamp_(0, 1)


def corrupted(images: Tensor, noise: Noise, seed: int) -> Tensor:
    """One draw of `noise` on stored images, float [N, 1, H, W]; the same for the same seed."""
    torch.manual_seed(seed)
    return torch.cat([noise(as_input(part)) for part in images.split(1000)])

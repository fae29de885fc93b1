"""The original report's noise: speckle, salt & pepper and Gaussian, on every image, in this order.

Images are [B, 1, H, W] in [0, 1], and are clipped to that range after each noise. Draws come from
torch's global generator, which the caller seeds; on the CPU a normal number is one of 65,536
quantiles, closer together than a pixel's levels but for the outermost 0.3 %, none beyond 4.3 σ.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_digits.engine.functional import noisy, pixels


@dataclass(frozen=True)
class Noise:
    """Strengths: N(mean, variance) for the Gaussians, a share of the pixels for salt & pepper."""

    gaussian_mean: float
    gaussian_variance: float
    salt_pepper: float
    speckle_variance: float

    def __call__(self, x: Tensor) -> Tensor:
        """`x` with all three noises; `x` itself is left as it is."""
        speckle, gaussian = self.speckle_variance**0.5, self.gaussian_variance**0.5
        return noisy(x, speckle, self.salt_pepper, self.gaussian_mean, gaussian)


def corrupted(images: Tensor, noise: Noise, seed: int) -> Tensor:
    """One draw of `noise` on stored images, float [N, 1, H, W]; the same for the same seed."""
    torch.manual_seed(seed)
    return torch.cat([noise(pixels(part)) for part in images.split(1000)])

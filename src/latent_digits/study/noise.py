"""The report's noise: speckle, salt & pepper and Gaussian, on every image, in this order.

Images are [B, 1, H, W] in [0, 1], and are clipped to that range after each noise. Draws come from
torch's global generator, which the caller seeds; on the CPU a normal number is one of 65,536
quantiles, closer together than a pixel's levels but for the outermost 0.3 %, none beyond 4.3 σ.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_digits.engine import kernels
from latent_digits.engine.draws import (
    LEVELS,
    draw_keys,
    draw_levels,
    draw_like,
    normal_levels,
    share_of,
)
from latent_digits.engine.pixels import as_input
from latent_digits.engine.stack import batch_last, has_kernel


@dataclass(frozen=True)
class Noise:
    """Strengths: N(mean, variance) for the Gaussians, a share of the pixels for salt & pepper."""

    gaussian_mean: float
    gaussian_variance: float
    salt_pepper: float
    speckle_variance: float

    def __call__(self, x: Tensor) -> Tensor:
        """`x` with all three noises; `x` itself is left as it is."""
        shares = round(self.salt_pepper / 2 * LEVELS)  # of salt and of pepper, a multiple of 2^-16
        speckle, gaussian = self.speckle_variance**0.5, self.gaussian_variance**0.5
        numbers = (speckle, shares, self.gaussian_mean, gaussian)
        if not has_kernel(x):
            return noisy(x, *numbers)
        pixels = batch_last(x)
        out = torch.empty_like(pixels)
        of_x, of_y = (tensor.flatten(0, -2).numpy() for tensor in (pixels, out))
        kernels.noisy(of_x, of_y, draw_keys(1)[0], *share_of(len(x)), normal_levels(), *numbers)
        return out.movedim(-1, 0)


def noisy(x: Tensor, speckle: float, shares: int, mean: float, gaussian: float) -> Tensor:
    """`kernels.noisy` in PyTorch's operations."""
    n = draw_like(torch.randn, x)
    y = n.mul_(speckle).mul_(x).add_(x).clamp_(0, 1)
    levels = draw_levels(x.movedim(0, -1).shape, x).movedim(-1, 0)
    pepper = levels < shares - LEVELS // 2
    salt = levels > LEVELS // 2 - 1 - shares
    y.masked_fill_(pepper, 0.0).masked_fill_(salt, 1.0)
    return draw_like(torch.randn, x).mul_(gaussian).add_(mean).add_(y).clamp_(0, 1)


def corrupted(images: Tensor, noise: Noise, seed: int) -> Tensor:
    """One draw of `noise` on stored images, float [N, 1, H, W]; the same for the same seed."""
    torch.manual_seed(seed)
    return torch.cat([noise(as_input(part)) for part in images.split(1000)])

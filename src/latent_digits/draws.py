"""Random numbers for activations that lie batch-last in memory.

All follow from torch's global generator, which the caller seeds.
"""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from latent_digits import kernels

LEVELS = 2**16


def draw_like(draw: Callable[..., Tensor], x: Tensor) -> Tensor:
    """`draw` (`torch.rand` or `torch.randn`) in the shape and the memory order of `x`.

    `torch.randn_like` draws one number after the other where `x` is not row-major, which takes ten
    times as long. `x` must fill its memory without gaps.
    """
    return draw(x.numel(), device=x.device).as_strided(x.size(), x.stride())


def draw_levels(shape: Sequence[int], x: Tensor) -> Tensor:
    """LEVELS equally likely values, as int16 from -LEVELS / 2, on the device of `x`.

    Enough to decide on an element with a given chance, at a fraction of a float's cost. On the CPU
    the generator gives a key only, and the numbers follow from that and their position.
    """
    count = prod(shape)
    if x.is_cpu:
        return torch.from_numpy(kernels.levels(draw_key(), count)).view(*shape)
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device)
    return words.random_(-(2**63), None).view(torch.int16)[:count].view(*shape)


def draw_key() -> np.ndarray:
    """A key for `kernels.philox`: two uint32."""
    return torch.empty(1, dtype=torch.int64).random_(-(2**63), None).numpy().view(np.uint32)

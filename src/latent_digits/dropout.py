"""Dropout at a tenth of `nn.Dropout`'s cost on the CPU.

`nn.Dropout` draws one random number after the other there and takes about 40 % of a training
step. Here one 64-bit integer gives the masks of four elements, 16 bits each, so that the drop
probability is a multiple of 2^-16.
"""

import torch
from torch import Tensor, nn

LEVELS = 2**16


class Dropout(nn.Module):
    """Zeroes elements with probability p in training, scaling the rest by 1 / (1 - p).

    With `channels`, whole channels of [C, H, W, B] are zeroed together (Tompson et al. 2015).
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    def __init__(self, p: float, channels: bool = False):
        super().__init__()
        self.dropped = round(p * LEVELS)  # of LEVELS equally likely values
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        if self.dropped == LEVELS:
            return x * 0.0
        like = x[:, :1, :1].contiguous() if self.channels else x
        return x * keep_mask(like, self.dropped)

    def extra_repr(self) -> str:
        return f"p={self.dropped / LEVELS:.5g}, channels={self.channels}"


def keep_mask(x: Tensor, dropped: int) -> Tensor:
    """A mask like `x`, in the order of its memory: 0 with chance dropped / LEVELS, else a scale."""
    count = x.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None)  # all 64 bits; the default range leaves the sign bit 0
    levels = words.view(torch.int16)[:count]
    kept = (levels >= dropped - LEVELS // 2).to(x.dtype)
    scale = LEVELS / (LEVELS - dropped)
    return kept.mul_(scale).as_strided(x.size(), x.stride())

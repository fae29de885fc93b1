"""Stored pixels as what a network reads."""

import torch
from torch import Tensor

from latent_digits.engine import kernels


def as_input(stored: Tensor, index: Tensor | None = None) -> Tensor:
    """Stored pixels, uint8 in [0, 255], as floats in [0, 1]; other tensors as they are.

    All of them, or those at `index`. Pixels keep their shape [B, ...], but lie batch-last in memory
    as activations do, so that network and loss read them without another copy (see
    `latent_digits.engine.stack`).
    """
    if stored.dtype != torch.uint8:
        return stored if index is None else stored[index]
    if stored.is_cpu:
        if index is None:
            index = torch.arange(len(stored))
        out = torch.empty(*stored.shape[1:], len(index))
        images = stored.view(len(stored), -1)
        kernels.pixels_batch_last(images.numpy(), index.numpy(), out.view(-1, len(index)).numpy())
        return out.movedim(-1, 0)
    images = stored if index is None else stored[index]
    return images.movedim(0, -1).contiguous().to(torch.float32).div_(255).movedim(-1, 0)

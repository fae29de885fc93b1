"""Random numbers for activations that lie batch-last in memory.

All follow from torch's global generator, which the caller seeds. Where several processes have a
slice of a batch each, every one draws for the whole batch and keeps what belongs to its slice: an
image meets the same numbers however the batch is divided.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latent_digits.engine import kernels
from latent_digits.engine.kernels import LEVELS


class Share(NamedTuple):
    """What this process has of a batch: so many images lie before its own, of so many in all."""

    before: int
    batch: int


_share: Share | None = None  # the process's, as torch's generator is, during a step


@contextmanager
def sliced(share: Share) -> Iterator[None]:
    """Draws within the block are for a slice of a batch."""
    global _share
    _share = share
    try:
        yield
    finally:
        _share = None


def share_of(images: int) -> Share:
    """Where `images` of this process lie in their batch.

    Raises ValueError where they are more than this process has of it.
    """
    share = _share or Share(0, images)
    if share.before + images > share.batch:
        raise ValueError(
            f"{images} images after {share.before} are more than the batch has: {share.batch}"
        )
    return share


def of_slice(drawn: Tensor, images: int) -> Tensor:
    """The numbers [units, images] of this process, of those for a whole batch in one row."""
    before, batch = share_of(images)
    return drawn.view(len(drawn) // max(batch, 1), batch)[:, before : before + images].contiguous()


def draw_levels(shape: Sequence[int], x: Tensor) -> Tensor:
    """LEVELS equally likely values [..., B], as int16 from -LEVELS / 2, on the device of `x`.

    Enough to decide on an element with a given chance, at a fraction of a float's cost. On the CPU
    the generator gives a key only, and the numbers follow from that and their position.
    """
    images = shape[-1]
    count = prod(shape[:-1]) * share_of(images).batch
    if x.is_cpu:
        key = draw_keys(1).numpy().view(np.uint32)
        drawn = torch.from_numpy(kernels.levels(key, count))
    else:
        words = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device)
        drawn = words.random_(-(2**63), None).view(torch.int16)[:count]
    return of_slice(drawn, images).view(*shape)


@cache
def normal_levels() -> np.ndarray:
    """The quantiles of N(0, 1) in the middle of LEVELS equal shares, float32: up to ±4.3."""
    middles = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
    quantiles = np.empty(LEVELS, np.float32)
    torch.from_numpy(quantiles).copy_(torch.special.ndtri(middles))
    return quantiles


def seed_draws(seed: int, device: torch.device) -> None:
    """Let what is drawn on a device follow from a seed, as after `torch.manual_seed`.

    That seeds all accelerators too, and takes a millisecond to write down where it was called.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def draw_keys(count: int) -> Tensor:
    """Keys for `kernels.philox`, each the two uint32 of an int64: [`count`]."""
    return torch.empty(count, dtype=torch.int64, device="cpu").random_(-(2**63), None)

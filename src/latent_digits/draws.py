"""Random numbers for activations that lie batch-last in memory."""

from collections.abc import Callable

from torch import Tensor


def draw_like(draw: Callable[..., Tensor], x: Tensor) -> Tensor:
    """`draw` (`torch.rand` or `torch.randn`) in the shape and the memory order of `x`.

    `torch.randn_like` draws one number after the other where `x` is not row-major, which takes ten
    times as long. `x` must fill its memory without gaps.
    """
    return draw(x.numel(), device=x.device).as_strided(x.size(), x.stride())

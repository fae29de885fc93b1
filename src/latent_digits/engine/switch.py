"""Whether the engine computes, or PyTorch does."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

PLAIN = (Tensor, nn.Parameter)
_off = False  # of this process


@contextmanager
def off() -> Iterator[None]:
    """Within the block PyTorch's own operations compute everything, with the same noise."""
    global _off
    before, _off = _off, True
    try:
        yield
    finally:
        _off = before


def is_off() -> bool:
    return _off


def takes(x: Tensor) -> bool:
    """Whether a kernel may compute with `x`: a plain float32 tensor on the CPU, not traced."""
    return (
        not _off
        and not torch.compiler.is_compiling()
        and type(x) in PLAIN
        and x.is_cpu
        and x.dtype is torch.float32
        and x.layout is torch.strided
        and not x.is_nested
        and not x.is_neg()
        and not torch.is_autocast_enabled("cpu")
        and forward_ad._current_level < 0
        and torch._C._functorch.peek_interpreter_stack() is None  # type: ignore[attr-defined]
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    )

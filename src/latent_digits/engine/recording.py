"""A piece of work done again without the Python that it came from, as a CUDA graph is on a GPU.

A step of a small network is a dozen compiled functions and PyTorch operations on a CPU, and what
leads to them, through modules, autograd and checks, takes a third as long. It leads to the same
ones at every step. So these are recorded once, with the memory that they used, and called again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from threading import local
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latent_digits.engine import kernels
from latent_digits.engine.switch import takes

UNFILLED = {f"aten::{name}" for name in ("empty", "empty_like", "empty_strided")} | {
    f"aten::{name}" for name in ("new_empty", "new_empty_strided")
}

READS = {Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__dlpack__, Tensor.__deepcopy__}
READS |= {Tensor.apply_, Tensor.map_, Tensor.map2_}
BUILDERS = {torch.tensor, torch.as_tensor, torch.asarray, torch.sparse_coo_tensor}
BUILDERS |= {Tensor.new_tensor}  # read tensors in a list

Values = dict[str, Tensor]
FEWEST = 8  # calls for which `each_of` records one


class Current(local):
    """The recording that a thread is at."""

    recording: "Recording | None" = None


_current = Current()


def launch(kernel: Callable[..., None], *arguments: Any) -> None:
    """Call a compiled function, which gets addresses of tensors, in a way that is recorded.

    What it takes as a number must be one.
    """
    given = [one.data_ptr() if isinstance(one, Tensor) else one for one in arguments]
    kernel(*given)
    recording = _current.recording
    while recording is not None:
        recording.kept.append(arguments)
        recording.calls.append((kernel, given))
        recording = recording.outer


class Reads(TorchFunctionMode):
    """Has a thread's recordings refused where Python reads numbers past PyTorch's dispatcher."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = *args, *(kwargs or {}).values()
        reads = func in READS or (func in BUILDERS and any(map(lists_tensors, given)))
        recording = _current.recording if reads else None
        while recording is not None:
            recording.refused = True
            recording = recording.outer
        return func(*args, **(kwargs or {}))


def lists_tensors(argument: Any) -> bool:
    """Whether it is a list, or the like, with a tensor within."""
    return not isinstance(argument, Tensor) and any(
        isinstance(one, Tensor) for one in tree_leaves(argument)
    )


class Recording(TorchDispatchMode):
    """What was called within its block; `replay` calls it again, with the same numbers and memory.

    It holds all memory that was used. `refused` says that a replay would not follow: numbers were
    read into Python, or how many there are depends on what they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], Sequence[Any]]] = []
        self.kept: list[Any] = []
        self.refused = False
        self.outer: Recording | None = None
        self.reads = Reads()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: else PyTorch imports its compiler, 1.5 s, to keep it from this class's methods."""
        return False

    def __enter__(self) -> "Recording":
        self.outer, _current.recording = _current.recording, self
        self.reads.__enter__()
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self.reads.__exit__(*exception)
        _current.recording = self.outer

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        again = partial(func, *args, **(kwargs or {}))
        result = again()
        self.kept += [args, result]
        made = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        if depends_on_numbers(func, args):
            self.refused = True
        elif func._schema.is_mutable:
            self.calls.append((again, ()))
            self.refused |= any(one.alias_info is None for one in func._schema.returns)
        elif not made:
            self.refused = True
        elif not (func.is_view or func._schema.name in UNFILLED):
            call = addition(func, args, kwargs or {}, result)
            self.calls.append(call or (refill, (again, made)))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Do all of it again."""
        for function, arguments in self.calls:
            function(*arguments)


def each_of(
    batches: Sequence[tuple[Tensor, ...]],
    work: Callable[..., Values],
    before: Callable[[int], Any],
    repeatable: bool,
    noted: Sequence[Tensor] = (),
) -> list[Values]:
    """`work(*batch)` for each of the batches, which are alike but for the last.

    `before` is called before each, with its place, to seed what it draws. Where work is
    `repeatable`, one is recorded and replayed for the others, unless the last replay gives
    something else than work does: then `noted`, what is written beside its values, is put back, and
    all are done. No gradients may be asked for.
    """

    def one(n: int) -> Values:
        before(n)
        return work(*batches[n])

    places = range(len(batches))
    if repeatable and len(batches) >= FEWEST:
        earlier = [tensor.clone() for tensor in noted]
        found = [one(0)]  # what is set up once is no part of the others
        inputs = [tensor.clone() for tensor in batches[1]]
        before(1)
        with Recording() as recording:
            values = work(*inputs)
        found.append(copied(values))
        if not recording.refused:
            for n in places[2:-1]:
                for tensor, other in zip(inputs, batches[n], strict=True):
                    tensor.copy_(other)
                before(n)
                recording.replay()
                found.append(copied(values))
            if bits(one(places[-2])) == bits(found[-1]):
                return [*found, one(places[-1])]
        for tensor, other in zip(noted, earlier, strict=True):
            tensor.copy_(other)
    return [one(n) for n in places]


def copied(values: Values) -> Values:
    return {name: value.clone() for name, value in values.items()}


def bits(values: Values) -> dict[str, bytes]:
    rows = {name: value.flatten().contiguous().view(torch.uint8) for name, value in values.items()}
    return {name: row.numpy().tobytes() for name, row in rows.items()}


def depends_on_numbers(func: Any, arguments: Any) -> bool:
    """Whether the shape of what an operation gives does."""
    if torch.Tag.dynamic_output_shape not in func.tags:
        return False
    indices = [one for one in tree_leaves(arguments[1:]) if isinstance(one, Tensor)]
    return func._schema.name != "aten::index" or any(
        one.dtype in (torch.bool, torch.uint8) for one in indices
    )


def addition(
    func: Any, arguments: Any, options: Any, result: Any
) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
    """A kernel's call that gives what PyTorch's sum of two tensors gives; None for all else.

    Autograd adds gradients so, and an objective its terms: each takes PyTorch 50 to 100 µs in a
    step, since kernels push its code out of the cache.
    """
    if func is not torch.ops.aten.add.Tensor or options.get("alpha", 1) != 1:
        return None
    tensors = (*arguments, result)
    if not all(isinstance(one, Tensor) and takes(one) for one in tensors):
        return None
    if len({(one.shape, one.stride()) for one in tensors}) > 1:
        return None
    places = [one.data_ptr() for one in tensors]
    return kernels.sum_of_two, (result.numel(), *places)


def refill(operation: Callable[[], Any], places: list[Tensor]) -> None:
    """Let an operation's results be in the memory where they were the first time."""
    made = [one for one in tree_leaves(operation()) if isinstance(one, Tensor)]
    for place, one in zip(places, made, strict=True):
        place.copy_(one)

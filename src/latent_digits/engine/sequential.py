"""An `nn.Sequential` that runs as one compiled chain where there are kernels for all its layers.

A training step of these networks is some two hundred small operations, and on a CPU autograd's
bookkeeping for each of them takes longer than the arithmetic of many. A chain is one step of
autograd: one compiled function forwards and one back (`kernels.forwards`, `kernels.backwards`).

The layers stay as they are, with their parameters. Only the class of the Sequential around them
changes, to a subclass of what it was, as FSDP2's `fully_shard` does it. What it can run is looked
up at each call, so that a layer that is replaced, changed or hooked is seen by the next.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from latent_digits.engine import kernels, team
from latent_digits.engine.autograd import first_order
from latent_digits.engine.chains import Chain, chain
from latent_digits.engine.draws import draw_keys, share_of
from latent_digits.engine.functional import note_positive
from latent_digits.engine.kernels import OUTPUT
from latent_digits.engine.lowering import NAMES, SETTINGS, steps, why_not
from latent_digits.engine.memory import Row, batch_last, in_a_row, split_like
from latent_digits.engine.recording import launch
from latent_digits.engine.switch import PLAIN, takes

MOST_LINKS = 100
Model = TypeVar("Model", bound=nn.Module)


class Watch:
    """A forward hook of a ReLU, for `register_forward_hook`, that a chain calls as well.

    Where no gradients are asked for it notes which units of an output [B, units, ...] are positive
    for any image, in `noted`, bool [units]. Outputs of another width are passed over. (Any other
    hook of a layer leaves its chain to PyTorch.)
    """

    def __init__(self, noted: Tensor):
        self.noted = noted

    def __call__(self, layer: nn.Module, arguments: Any, output: Tensor) -> None:
        if not torch.is_grad_enabled() and output.shape[1] == len(self.noted):
            note_positive(output.movedim(0, -1), self.noted)


class Link(NamedTuple):
    """A chain, and the step of each of its layers."""

    chain: Chain
    places: list[int]


class Runner:
    """What an accelerated Sequential keeps from call to call; a copy begins anew."""

    def __init__(self) -> None:
        self.links: dict[Any, Link | None] = {}
        self.seen: Any = None  # all that the next two follow from
        self.link: Link | None = None
        self.row: Tensor | None = None  # of the parameters
        self.gradients = Row()

    def look_up(self, seen: Any, layers: Sequence[nn.Module], parameters: Sequence[Any]) -> None:
        """The chain and the row for what was `seen` in this call and not in the one before."""
        shape, settings, places = seen
        key = shape, *settings, *[place and place[1:] for place in places]
        if key not in self.links:
            if len(self.links) == MOST_LINKS:  # of a setting that changes from step to step
                self.links.clear()
            self.links[key] = linked(layers, tuple(shape))
        self.seen, self.link = seen, self.links[key]
        self.row = in_a_row(parameters) if self.link else None

    def row_of(self, parameters: Sequence[Tensor]) -> Tensor:
        """The parameters as one vector, which is a copy where they do not lie in a row."""
        if self.row is None:
            return torch.cat([p.detach().flatten() for p in parameters])
        return self.row

    def sums(self, parameters: Sequence[Tensor]) -> Tensor | None:
        """The parameters' gradients as one vector, where they can be added to there."""
        found = [
            gradient
            for p in parameters
            if (gradient := p.grad) is not None
            and p.requires_grad
            and not (p._backward_hooks or p._post_accumulate_grad_hooks)
        ]
        return self.gradients.of(found) if len(found) == len(parameters) else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Runner, ()


def place_of(p: Tensor | None) -> Any:
    """Where a parameter lies, and what it is."""
    return p if p is None else (p.data_ptr(), p.shape, p.stride(), p.dtype, p.is_cpu, type(p))


class Accelerated(nn.Sequential):
    """What `accelerate` puts before a Sequential's own class."""

    def forward(self, input: Tensor) -> Tensor:
        layers: list[nn.Module] = []
        settings: list[Any] = []
        if not takes(input) or _has_any_global_hook() or hindrance(self, layers, settings):
            return super().forward(input)
        parameters: list[Any] = [
            layer._parameters.get(name) for layer in layers if layer._parameters for name in NAMES
        ]
        runner: Runner = self.__dict__.get("_runner") or renewed(self)
        try:
            seen = input.shape[1:], settings, [place_of(p) for p in parameters]
            if seen != runner.seen:
                runner.look_up(seen, layers, parameters)
        except (TypeError, RuntimeError):  # a setting that is a list, a parameter that is sparse
            return super().forward(input)
        link = runner.link
        if link is None:
            return super().forward(input)
        if torch.is_grad_enabled():
            sums = runner.sums(parameters) if _adding else None
            known = parameters if sums is None else parameters[:1]  # to autograd
            return RunChain.apply(input, link.chain, runner.row_of(parameters), sums, *known)
        if link.chain.drops and any(layer._forward_hooks for layer in layers):
            return super().forward(input)  # a ReLU's output before its dropout lies nowhere
        run = Run(link.chain, batch_last(input), runner.row_of(parameters))
        for layer, place in zip(layers, link.places, strict=True):
            for watch in layer._forward_hooks.values():
                watch(layer, (), run.activation(place).movedim(-1, 0))
        return run.y

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Its class is made at run time, and found again by the one that it was."""
        state: Any = super().__reduce_ex__(protocol)
        return blank, (type(self).__mro__[2],), *state[2:]


@cache
def accelerated(kind: type[nn.Sequential]) -> type[nn.Sequential]:
    """The subclass of a Sequential's class that runs chains."""
    return type(kind.__name__, (Accelerated, kind), {"__module__": kind.__module__})


def blank(kind: type[nn.Sequential]) -> nn.Sequential:
    """An accelerated Sequential of this class before its state is set, as `copy` makes it."""
    made = accelerated(kind)
    return made.__new__(made)


def renewed(stack: nn.Module) -> Runner:
    stack.__dict__["_runner"] = Runner()
    return stack.__dict__["_runner"]


def accelerate(model: Model) -> Model:
    """The same model, whose Sequentials run as compiled chains on the CPU where they can.

    Parameters, their names, and all results but roundings stay those of PyTorch's own layers. Call
    it again after a Sequential was added.
    """
    for module in model.modules():
        if is_sequential(module) and not isinstance(module, Accelerated):
            module.__class__ = accelerated(type(module))
    return model


def is_sequential(module: nn.Module) -> bool:
    """Whether it runs its children one after the other and does nothing else."""
    kind: Any = type(module)
    return (
        isinstance(module, nn.Sequential)
        and kind.forward in (nn.Sequential.forward, Accelerated.forward)
        and kind.__call__ is nn.Module.__call__
        and kind.__iter__ is nn.Sequential.__iter__
    )


def hindrance(stack: nn.Module, layers: list[nn.Module], settings: list[Any]) -> str:
    """Why the layers in `stack` make no chain just now; empty where they may make one.

    They are gathered in `layers`, through Sequentials within, and what a chain depends on in
    `settings`.
    """
    for layer in stack._modules.values():
        kind = type(layer)
        if layer is None or (
            layer._forward_pre_hooks
            or layer._backward_hooks
            or layer._backward_pre_hooks
            or layer._compiled_call_impl
            or "forward" in layer.__dict__
        ):
            return f"{kind.__name__} has hooks"
        if layer._forward_hooks and (
            kind is not nn.ReLU
            or torch.is_grad_enabled()
            or not all(type(hook) is Watch for hook in layer._forward_hooks.values())
        ):
            return f"{kind.__name__} has hooks"
        if read := SETTINGS.get(kind):
            layers.append(layer)
            settings.append((kind, read(layer), len(layer._parameters), len(layer._modules)))
        elif not is_sequential(layer):
            return f"{kind.__name__} has no kernel"
        elif reason := hindrance(layer, layers, settings):
            return reason
    return ""


def linked(layers: Sequence[nn.Module], shape: tuple[int, ...]) -> Link | None:
    """The chain of layers for images of this shape; None where they make none."""
    if why_not(layers) or misfit(layers):
        return None
    found = steps(layers, shape)
    return found and Link(chain(found[0]), found[1])


def misfit(layers: Sequence[nn.Module]) -> str:
    """Why parameters are not for a kernel; empty where they are."""
    for layer in layers:
        for p in layer._parameters.values():
            if p is not None and (not p.is_cpu or p.dtype != torch.float32):
                return f"its parameters are {p.dtype} on {p.device}"
            if p is not None and (type(p) not in PLAIN or p.layout is not torch.strided):
                return f"its parameters are of {type(p).__name__}, {p.layout}"
    return ""


class Run:
    """A chain run forwards: see `latent_digits.engine.chains`."""

    def __init__(self, chain: Chain, x: Tensor, row: Tensor):
        images = x.shape[-1]
        self.chain, self.x, self.row = chain, x, row
        self.memory = x.new_empty(chain.floats * images)
        strides = [images * stride for stride in chain.strides]
        self.y = x.new_empty_strided((images, *chain.shapes[-1]), (1, *strides))
        draws = draw_keys(chain.drops) if chain.drops else 0, *share_of(images)
        launch(kernels.forwards, *given(chain, x, row), *draws, self.memory, self.y)

    def activation(self, place: int) -> Tensor:
        """What the step at `place` left, [units, ..., B]."""
        start, images = int(self.chain.table["y"][place]), self.x.shape[-1]
        shape = *self.chain.shapes[place], images
        if start == OUTPUT:
            return self.y.movedim(0, -1).view(shape)
        return self.memory[start * images :][: prod(shape)].view(shape)


def given(chain: Chain, x: Tensor, row: Tensor) -> tuple[Any, ...]:
    """What both ways begin with."""
    return team.address(), team.threads(), chain.table, x.shape[-1], x, row


class RunChain(torch.autograd.Function):
    """`Run` in autograd."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, chain: Chain, row: Tensor, sums: Tensor | None, *parameters: Tensor
    ) -> Tensor:
        run = Run(chain, batch_last(x), row)
        ctx.chain, ctx.row, ctx.sums = chain, row, sums
        # An output that nobody reads may be changed in place.
        ctx.save_for_backward(run.x, run.memory, run.y if chain.reads_output else None, *parameters)
        return run.y

    @staticmethod
    @first_order
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        x, memory, y, *parameters = ctx.saved_tensors
        chain, row = ctx.chain, ctx.row
        found = torch.zeros_like(row) if ctx.sums is None else ctx.sums
        of_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        of_memory = x.new_empty(chain.floats_back * x.shape[-1])
        of_y = batch_last(gradients[0].resolve_neg())  # not overwritten, since others may read it
        room = torch.empty_like(of_y) if chain.reads_output else of_y
        y = 0 if y is None else batch_last(y)  # what keeps saved tensors may lay it out anew
        results = 0 if of_x is None else of_x, found
        spare = of_memory, of_y, room
        launch(kernels.backwards, *given(chain, x, row), memory, y, *results, *spare)
        of_input = None if of_x is None else of_x.movedim(-1, 0)
        parts = [None] if ctx.sums is not None else split_like(found, parameters)
        return of_input, None, None, None, *parts


_adding = False  # in this process


@contextmanager
def adding() -> Iterator[None]:
    """Within the block, `loss.backward()` has chains add to their parameters' gradients themselves.

    To have autograd add them one by one takes a tenth of a millisecond a step. Forward pass and
    `backward` both belong in the block. It needs gradients that lie one behind the other, and no
    hooks on parameters; others are added by autograd.
    """
    global _adding
    before, _adding = _adding, True
    try:
        yield
    finally:
        _adding = before


def explain(model: nn.Module) -> str:
    """A line for each part of a model: that the engine runs it on the CPU, or why PyTorch does."""
    return "\n".join(f"{name}: {what}" for name, what, _ in parts(model))


def left_to_pytorch(model: nn.Module) -> str:
    """What the engine does not run on the CPU, and why, in one line; empty where it runs all."""
    return "; ".join(f"{name} ({what})" for name, what, taken in parts(model) if not taken)


def is_repeatable(model: nn.Module) -> bool:
    """Whether the engine computes all of a model, which keeps only weights.

    It has no hooks but watches of ReLUs.
    """
    return not (
        left_to_pytorch(model)
        or _has_any_global_hook()
        or list(model.buffers())
        or any(
            module._forward_pre_hooks
            or module._backward_hooks
            or any(
                type(hook) is not Watch or type(module) is not nn.ReLU
                for hook in module._forward_hooks.values()
            )
            for module in model.modules()
        )
        or any(p._backward_hooks or p._post_accumulate_grad_hooks for p in model.parameters())
    )


def noted(model: nn.Module) -> list[Tensor]:
    """What the watches of a model write to."""
    return [
        hook.noted
        for module in model.modules()
        for hook in module._forward_hooks.values()
        if isinstance(hook, Watch)
    ]


def parts(module: nn.Module, path: str = "") -> Iterator[tuple[str, str, bool]]:
    """Of a model's parts the name, what is said of it, and whether it is a chain.

    The parts are the outermost chains, and what else has layers or parameters.
    """
    name = path or type(module).__name__
    children = [(f"{path}.{n}".lstrip("."), child) for n, child in module.named_children()]
    inner = [(n, child) for n, child in children if len(child._modules)]
    if is_sequential(module):
        layers: list[nn.Module] = []
        reason = hindrance(module, layers, []) or why_not(layers) or misfit(layers)
        if not isinstance(module, Accelerated):
            reason = "it was not given to engine.accelerate"
        if not reason:
            yield name, f"{len(layers)} layers as one compiled chain", True
            return
        if len(inner) < len(children):
            yield name, reason, False
        children = inner
    elif module._parameters:
        yield name, "it is in no nn.Sequential", False
    for n, child in children:
        yield from parts(child, n)

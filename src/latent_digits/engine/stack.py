"""A chain of layers as one step of autograd.

A training step of these networks is some two hundred small operations, and on a CPU autograd's
bookkeeping for each of them takes longer than the arithmetic of many. So layers here state their
derivative themselves, and `Stack` runs a whole chain of them forwards and backwards as one node:
on the CPU as one compiled function (see `latent_digits.engine.chains`), elsewhere layer by layer.

Within a stack activations lie batch-last, [features, B] or [C, H, W, B]: there a linear layer is a
plain matrix product, and a convolution one as well (see `latent_digits.engine.convolutions`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from latent_digits.engine import kernels
from latent_digits.engine.chains import OUT_SIZES, Chain, Shape, Step
from latent_digits.engine.chains import chain as link
from latent_digits.engine.draws import draw_keys, share_of
from latent_digits.engine.kernels import OUTPUT

BACKWARD_ONCE = "a stack can be run backward once only; run it forward again first"


def has_kernel(x: Tensor) -> bool:
    """Whether `latent_digits.engine.kernels` takes it."""
    return x.is_cpu and x.dtype == torch.float32


class Layer(nn.Module):
    """A function of a batch-last activation and the layer's own parameters, with its derivative.

    `output` says where the output lies: in new memory, as another view of the input, or in place of
    the input, which is then overwritten.
    """

    output: Literal["new", "view", "in place"] = "new"

    def step(self, shape: Shape) -> Step:
        """The layer for compiled code, where an image's activation has this shape.

        Raises ValueError for a shape that the layer does not take: compiled code looks at none.
        """
        raise NotImplementedError

    def expect(self, taken: bool, wanted: str, shape: Shape) -> None:
        """Raise ValueError unless the shape is `taken`."""
        if not taken:
            raise ValueError(f"{self} takes {wanted} an image, not {shape}")

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        """The output, and what `vjp` needs."""
        raise NotImplementedError

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        """The vector-Jacobian product: gradients of the input and of the parameters, in order.

        The `first` layer of a stack that reads data need not find the input's.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        return ", ".join(str(tuple(p.shape)) for p in self.parameters(recurse=False))


class Stack(nn.Module):
    """Layers one after the other: [B, ...] to [B, ...].

    Raises ValueError where a layer would overwrite what another still needs: the caller's input, or
    the output that an in-place layer keeps for its derivative. Layers run without their hooks; see
    `watched`.
    """

    compose: "Composition"

    def __init__(self, *layers: Layer):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        spare = False  # whether nobody needs the activation any more
        for index, layer in enumerate(layers):
            if layer.output == "in place" and not spare:
                raise ValueError(
                    f"layer {index}, {layer}, overwrites an activation that is still needed; it "
                    "must follow a layer with an output of its own, such as a Linear"
                )
            spare = layer.output == "new" or (layer.output == "view" and spare)
        if all(layer.output != "new" for layer in layers):
            raise ValueError("a stack needs a layer with an output of its own, such as a Linear")
        self.compose = Composition()

    def forward(self, x: Tensor) -> Tensor:
        return self.compose(x, self)

    def steps(self, shape: Shape) -> list[Step]:
        """The layers for compiled code, where an image has this shape."""
        steps: list[Step] = []
        layers: tuple[Any, ...] = tuple(self.layers)
        for layer in layers:
            steps.append(layer.step(steps[-1].y if steps else shape))
        return steps


Watch = Callable[[Layer, Tensor], Any]
_watch: Watch | None = None  # of this process


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Within the block `watch` gets each layer that works in place, and its output [units, ..., B].

    Where no gradients are asked for; it must not keep the output.
    """
    global _watch
    before, _watch = _watch, watch
    try:
        yield
    finally:
        _watch = before


class Composition:
    """Runs a stack, and then another or several beside each other, as one: without their hooks.

    Of several all read the first one's output, and theirs [B, F] follow each other in one row. What
    it needs for that is kept for the next call.
    """

    def __init__(self) -> None:
        self.chains: dict[Any, Chain] = {}
        self.values, self.gradients = Row(), Row()  # of the parameters

    def __call__(self, x: Tensor, trunk: Stack, *branches: Stack) -> Tensor:
        if not has_kernel(x) or torch.is_autocast_enabled("cpu"):
            y = by_layers(x, trunk.layers)
            parts = [by_layers(y, branch.layers) for branch in branches]
            if len(parts) < 2:
                return (parts or [y])[0]
            return torch.cat([batch_last(part) for part in parts]).movedim(-1, 0)
        layers: list[Any] = [*trunk.layers]
        for branch in branches:
            layers += branch.layers
        # A layer that was replaced, or is in another mode, makes another chain.
        key = x.shape[1:], *layers, *[layer.training for layer in layers]
        if key not in self.chains:
            steps = trunk.steps(tuple(x.shape[1:]))
            self.chains[key] = link(steps, [branch.steps(steps[-1].y) for branch in branches])
        # Straight from the dictionaries: `parameters()` would take a tenth of a millisecond.
        parameters = [p for layer in layers for p in layer._parameters.values()]
        run = Run(self.chains[key], parameters, self.values, self.gradients)
        if torch.is_grad_enabled():
            trained = next((p for p in parameters if p.requires_grad), None)
            return RunChain.apply(x, trained, run)
        y = run.forwards(x).movedim(-1, 0)
        if _watch:
            for layer, place in zip(layers, run.chain.table, strict=True):
                if layer.output == "in place":
                    _watch(layer, run.activation(place))
        return y


def by_layers(x: Tensor, layers: Iterable[Any]) -> Tensor:
    """Layers one after the other in PyTorch's operations: [B, ...] to [B, ...]."""
    layers = tuple(layers)
    if torch.is_grad_enabled():
        parameters = [p for layer in layers for p in layer._parameters.values()]
        return RunStack.apply(x, layers, *parameters)
    y = batch_last(x)
    for layer in layers:
        y, _ = layer.run(y)
        if _watch and layer.output == "in place":
            _watch(layer, y)
    return y.movedim(-1, 0)


class Row:
    """Tensors of which each lies behind the one before, as one vector in the same memory."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.vector: Tensor | None = None

    def of(self, tensors: Sequence[Tensor]) -> Tensor | None:
        """The vector, or None where they do not lie so; looked for again when one has moved."""
        places = [tensor.data_ptr() for tensor in tensors]
        if places != self.places:
            self.places, self.vector = places, in_a_row(tensors)
        return self.vector

    def __reduce__(self) -> tuple[Any, ...]:
        return Row, ()  # a copy's tensors lie elsewhere


def in_a_row(tensors: Sequence[Tensor]) -> Tensor | None:
    """`Row.of`, looked for."""
    storage, place, dtype = tensors[0].untyped_storage(), tensors[0].data_ptr(), tensors[0].dtype
    for tensor in tensors:
        if tensor.data_ptr() != place or tensor.dtype != dtype or not tensor.is_contiguous():
            return None
        place += tensor.nbytes
    if place > storage.data_ptr() + storage.nbytes():
        return None
    return tensors[0].detach().as_strided((sum(t.numel() for t in tensors),), (1,))


class Run:
    """A chain forwards and back: see `latent_digits.engine.chains`."""

    def __init__(self, chain: Chain, parameters: Sequence[Tensor], values: Row, gradients: Row):
        self.chain, self.parameters, self.gradients = chain, parameters, gradients
        row = values.of(parameters)
        self.row = torch.cat([p.detach().flatten() for p in parameters]) if row is None else row
        if len(self.row) != chain.parameters or self.row.dtype != torch.float32:
            raise ValueError(
                f"the layers have {len(self.row):,} parameters of {self.row.dtype}; for this input "
                f"they need {chain.parameters:,} of torch.float32"
            )

    def forwards(self, x: Tensor) -> Tensor:
        """The output, batch-last."""
        images, chain = len(x), self.chain
        self.x = batch_last(x)
        self.memory = self.x.new_empty(chain.floats * images)
        self.y = self.x.new_empty(*chain.y, images)
        steps = len(chain.table)
        keys = draw_keys(steps) if chain.draws else np.zeros((steps, 2), np.uint32)
        arguments = *self.given(), keys, *share_of(images), *self.left()
        kernels.forwards(*arguments)
        return self.y

    def activation(self, place: np.void) -> Tensor:
        """What the step at `place` in the table left, [units, ..., B]."""
        images, start = self.x.shape[-1], int(place["y"])
        memory, start = (self.memory, start) if start >= 0 else (self.y.view(-1), OUTPUT - start)
        shape = *[int(place[name]) for name in OUT_SIZES], images
        return memory[start * images :][: prod(shape)].view(shape)

    def backwards(self, gradient: Tensor, to_input: bool) -> Tensor | None:
        """The gradient of the input, from the output's; the parameters' are added to their own."""
        grads = [p.grad for p in self.parameters if p.requires_grad and p.grad is not None]
        row = self.gradients.of(grads) if len(grads) == len(self.parameters) else None
        sums = torch.zeros_like(self.row) if row is None else row
        arrays = gradient.view(-1).numpy(), to_input, sums.numpy()
        arguments = *self.given(), *self.left(), *arrays
        of_x = kernels.backwards(*arguments)
        if row is None:
            parts = sums.split([p.numel() for p in self.parameters])
            for parameter, part in zip(self.parameters, parts, strict=True):
                if parameter.requires_grad:
                    add(parameter, part.view_as(parameter))
        return torch.from_numpy(of_x).view_as(self.x) if to_input else None

    def given(self) -> tuple[np.ndarray, ...]:
        """What both ways begin with."""
        return self.chain.table, self.x.flatten(0, -2).numpy(), self.row.numpy()

    def left(self) -> tuple[np.ndarray, ...]:
        """What the way forwards leaves behind."""
        return self.memory.numpy(), self.y.view(-1).numpy()


def add(parameter: Tensor, gradient: Tensor) -> None:
    """Add to the parameter's gradient; the first one is kept as it is, and so stays in its row."""
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad.add_(gradient)


class RunChain(torch.autograd.Function):
    """`Run` in autograd.

    Of the parameters that sees only one that is `trained`: to pass them all through it and add
    their gradients one by one took a quarter of a millisecond a step. So `backward` finds their
    gradients, but `torch.autograd.grad` of a parameter raises RuntimeError, and hooks of parameters
    do not run.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, trained: Tensor | None, run: Run) -> Tensor:
        ctx.run = run
        return run.forwards(x).movedim(-1, 0)  # a view, or the run would keep itself alive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        run, ctx.run = ctx.run, None  # its memory can be used again
        if run is None:
            raise RuntimeError(BACKWARD_ONCE)
        of_x = run.backwards(batch_last(gradients[0]), ctx.needs_input_grad[0])
        return None if of_x is None else of_x.movedim(-1, 0), None, None


class RunStack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: tuple[Layer, ...], *parameters: Tensor) -> Tensor:
        ctx.layers, ctx.saved = layers, []
        y = batch_last(x)
        for layer in layers:
            y, saved = layer.run(y)
            ctx.saved.append(saved)
        return y.movedim(-1, 0)  # a view: what a layer saved is never the output itself

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        if len(ctx.saved) < len(ctx.layers):  # freed as it goes, so that memory is used again
            raise RuntimeError(BACKWARD_ONCE)
        gradient: Tensor | None = batch_last(gradients[0])
        found: list[Tensor] = []
        for index in reversed(range(len(ctx.layers))):
            first = index == 0 and not ctx.needs_input_grad[0]
            gradient, of_parameters = ctx.layers[index].vjp(ctx.saved.pop(), gradient, first)
            found[:0] = of_parameters
        return None if gradient is None else gradient.movedim(-1, 0), None, *found


def batch_last(x: Tensor) -> Tensor:
    """[B, ...] as [..., B], contiguous; without a copy where it lies so already."""
    return x.movedim(0, -1).contiguous()


def as_array(x: Tensor) -> np.ndarray:
    """[B, ...] as [F, B], in the same memory where it lies batch-last already."""
    return batch_last(x.detach()).flatten(0, -2).numpy()


class Linear(Layer):
    """`nn.Linear` on [in, B], with its parameters and their initial values."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        linear = nn.Linear(in_features, out_features)
        self.weight, self.bias = linear.parameters()

    def step(self, shape: Shape) -> Step:
        units, inputs = self.weight.shape
        self.expect(shape == (inputs,), f"{inputs} features", shape)
        return Step(kernels.LINEAR, shape, (units,), parameters=units * inputs + units)

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        return torch.addmm(self.bias[:, None], self.weight, x), x

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        of_parameters = [gradient @ saved.t(), gradient.sum(1)]
        return None if first else self.weight.t() @ gradient, of_parameters


class Reshape(Layer):
    """[..., B] as [*shape, B]."""

    output = "view"

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def step(self, shape: Shape) -> Step:
        self.expect(prod(shape) == prod(self.shape), f"{prod(self.shape)} numbers", shape)
        return Step(kernels.RESHAPE, shape, self.shape)

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        return x.view(*self.shape, x.shape[-1]), x.shape

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        return gradient.view(saved), []


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), in place."""

    output = "in place"

    def step(self, shape: Shape) -> Step:
        return Step(kernels.SIGMOID, shape, shape)

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        y = x.sigmoid_()
        return y, y

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        return torch.ops.aten.sigmoid_backward(gradient, saved), []

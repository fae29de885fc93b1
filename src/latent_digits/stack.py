"""A chain of layers as one step of autograd.

A training step of these networks is some two hundred small operations, and on a CPU autograd's
bookkeeping for each of them takes longer than the arithmetic of many. So layers here state their
derivative themselves, and `Stack` runs a whole chain of them forwards and backwards as one node.

Within a stack activations lie batch-last, [features, B] or [C, H, W, B]: there a linear layer is a
plain matrix product, and a convolution one as well (see `latent_digits.convolutions`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Layer(nn.Module):
    """A function of a batch-last activation and the layer's own parameters, with its derivative."""

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        """The output, and what `vjp` needs. May overwrite `x` unless it comes first in a stack."""
        raise NotImplementedError

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        """The vector-Jacobian product: gradients of the input and of the parameters, in order.

        The `first` layer of a stack that reads data need not find the input's.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        return ", ".join(str(tuple(p.shape)) for p in self.parameters(recurse=False))


class Stack(nn.Module):
    """Layers one after the other: [B, ...] to [B, ...]."""

    def __init__(self, *layers: Layer):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        # Walking modules for these at every step would take a tenth of a millisecond.
        self.chain, self.trained = layers, tuple(self.parameters())

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return RunStack.apply(x, self.chain, *self.trained)
        y = batch_last(x)
        for layer in self.chain:
            y, _ = layer.run(y)
        return y.movedim(-1, 0)


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


class Linear(Layer):
    """`nn.Linear` on [in, B], with its parameters and their initial values."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        linear = nn.Linear(in_features, out_features)
        self.weight, self.bias = linear.weight, linear.bias

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        return torch.addmm(self.bias[:, None], self.weight, x), x

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        of_parameters = [gradient @ saved.t(), gradient.sum(1)]
        return None if first else self.weight.t() @ gradient, of_parameters


class Reshape(Layer):
    """[..., B] as [*shape, B]."""

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        return x.view(*self.shape, x.shape[-1]), x.shape

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        return gradient.view(saved), []


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), in place."""

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        y = x.sigmoid_()
        return y, y

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        return torch.ops.aten.sigmoid_backward(gradient, saved), []

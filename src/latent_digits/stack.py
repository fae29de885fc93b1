"""A chain of layers as one step of autograd.

A training step of these networks is some two hundred small operations, and on a CPU autograd's
bookkeeping for each of them takes longer than the arithmetic of many. So layers here state their
derivative themselves, and `Stack` runs a whole chain of them forwards and backwards as one node.

Within a stack activations lie batch-last, [features, B] or [C, H, W, B]: there a linear layer is a
plain matrix product, and a convolution one as well (see `latent_digits.convolutions`).
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def has_kernel(*tensors: Tensor) -> bool:
    """Whether `latent_digits.kernels` takes all of them."""
    return all(x.is_cpu and x.dtype in (torch.float32, torch.float64) for x in tensors)


class Layer(nn.Module):
    """A function of a batch-last activation and the layer's own parameters, with its derivative.

    `output` says where the output lies: in new memory, as another view of the input, or in place of
    the input, which is then overwritten.
    """

    output: Literal["new", "view", "in place"] = "new"

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
    the output that an in-place layer keeps for its derivative.
    """

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

    def forward(self, x: Tensor) -> Tensor:
        layers: tuple[Any, ...] = tuple(self.layers)
        if torch.is_grad_enabled():
            # Straight from the dictionaries: `parameters()` would take a tenth of a millisecond.
            parameters = [p for layer in layers for p in layer._parameters.values()]
            return RunStack.apply(x, layers, *parameters)
        y = batch_last(x)
        for layer in layers:
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
        if len(ctx.saved) < len(ctx.layers):  # freed as it goes, so that memory is used again
            raise RuntimeError("a stack can be run backward once only; run it forward again first")
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
        self.weight, self.bias = linear.parameters()

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

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        return x.view(*self.shape, x.shape[-1]), x.shape

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        return gradient.view(saved), []


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), in place."""

    output = "in place"

    def run(self, x: Tensor) -> tuple[Tensor, Any]:
        y = x.sigmoid_()
        return y, y

    def vjp(self, saved: Any, gradient: Tensor, first: bool) -> tuple[Tensor | None, list[Tensor]]:
        return torch.ops.aten.sigmoid_backward(gradient, saved), []

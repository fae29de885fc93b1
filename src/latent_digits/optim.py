"""Adam and SGD over one flat vector.

These networks have about twenty small tensors. Updating them one by one costs 1.4 ms a step, most
of it overhead; as one vector, 0.1 ms. `tests/test_optim.py` holds both equal to torch.optim.
"""

import torch
from torch import nn


class FlatParameters:
    """A model's trainable parameters and gradients, each as one vector that the model's share.

    Assigning to `values` changes the model, and `backward` accumulates into `gradients`.
    """

    def __init__(self, model: nn.Module):
        parameters = [p for p in model.parameters() if p.requires_grad]
        total = sum(p.numel() for p in parameters)
        self.values = parameters[0].new_empty(total)
        self.gradients = torch.zeros_like(self.values)
        start = 0
        for parameter in parameters:
            part = slice(start, start + parameter.numel())
            start = part.stop
            # As strided, not viewed: the memory format (channels last) must survive.
            layout = parameter.size(), parameter.stride()
            shared = self.values[part].as_strided(*layout, part.start)
            shared.copy_(parameter.detach())
            parameter.data = shared
            parameter.grad = self.gradients[part].as_strided(*layout, part.start)


class Adam:
    """Kingma & Ba 2015, algorithm 1, with their constants and no weight decay."""

    def __init__(self, flat: FlatParameters, lr: float):
        self.flat = flat
        self.lr = lr
        self.step_count = 0
        self.mean = torch.zeros_like(flat.values)
        self.square = torch.zeros_like(flat.values)

    @torch.no_grad()
    def step(self) -> None:
        """One update of the values, after which the gradients are zero."""
        beta1, beta2, epsilon = 0.9, 0.999, 1e-8
        self.step_count += 1
        gradient = self.flat.gradients
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        correction2 = (1 - beta2**self.step_count) ** 0.5
        denominator = self.square.sqrt().div_(correction2).add_(epsilon)
        step_size = self.lr / (1 - beta1**self.step_count)
        self.flat.values.addcdiv_(self.mean, denominator, value=-step_size)
        gradient.zero_()


class SGD:
    """Stochastic gradient descent without momentum."""

    def __init__(self, flat: FlatParameters, lr: float):
        self.flat = flat
        self.lr = lr

    @torch.no_grad()
    def step(self) -> None:
        """One update of the values, after which the gradients are zero."""
        self.flat.values.add_(self.flat.gradients, alpha=-self.lr)
        self.flat.gradients.zero_()


OPTIMIZERS = {"adam": Adam, "sgd": SGD}

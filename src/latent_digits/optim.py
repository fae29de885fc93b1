"""Adam, SGD and the average of weights, over one flat vector.

These networks have about twenty small tensors. Updating them one by one costs 1.4 ms a step, most
of it overhead; as one vector, 0.1 ms. `tests/test_optim.py` holds both equal to torch.optim.
"""

from collections.abc import Iterator
from contextlib import contextmanager

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


class Average:
    """A model's weights averaged over about the last tenth of its steps.

    At a constant learning rate the weights jitter around a better place, and their average is close
    to it. The window grows with the training (Karras et al. 2024, "Analyzing and improving the
    training dynamics of diffusion models", section 3.1), so that early epochs are not held back;
    Polyak & Juditsky 1992 is the source of the idea.
    """

    def __init__(self, flat: FlatParameters):
        self.flat = flat
        self.step_count = 0
        self.values = flat.values.clone()

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.step_count += 1
        self.values.lerp_(self.flat.values, WINDOW / (WINDOW - 1 + self.step_count))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights within the block, and its own after it."""
        own = self.flat.values.clone()
        self.flat.values.copy_(self.values)
        yield
        self.flat.values.copy_(own)


def warmup(step: int) -> float:
    """The share of the learning rate that a step takes, counted from 1: it rises to 1 linearly.

    Adam's first steps have the full length whatever the gradient, and at the report's rate they
    kill units for good: of twelve denoisers four answered black to everything after an epoch, with
    a warm-up of 100 steps or more none (Goyal et al. 2017, "Accurate, large minibatch SGD").
    """
    return min(1.0, step / WARMUP)


WARMUP = 200  # steps
WINDOW = 10  # the average spans one part in so many of the steps so far

OPTIMIZERS = {"adam": Adam, "sgd": SGD}

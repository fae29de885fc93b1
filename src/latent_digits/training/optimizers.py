"""Adam, SGD and polynomial-decay averaging of the weights, over one flat vector.

These networks have about twenty small tensors. Updating them one by one costs 1.4 ms a step, most
of it overhead; as one vector 0.3 ms, and Adam as one loop over it 0.03.
`tests/training/test_optimizers.py` holds them equal to torch.optim.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from latent_digits.engine import functional


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


WARMUP = 500  # steps
Number = (
    float | Tensor
)  # a tensor where a recorded step reads it, see `latent_digits.training.cuda_graphs`


class Adam:
    """Kingma & Ba 2015, algorithm 1, with their constants and no weight decay."""

    def __init__(self, flat: FlatParameters):
        self.flat = flat
        self.mean = torch.zeros_like(flat.values)
        self.square = torch.zeros_like(flat.values)

    def vectors(self) -> dict[str, Tensor]:
        """The moments, which steps change."""
        return {"mean": self.mean, "square": self.square}

    def numbers(self, step: int, lr: float) -> list[float]:
        """What `update` needs at a step, counted from 1."""
        return [lr / (1 - BETA1**step), (1 - BETA2**step) ** 0.5]

    def update(self, step_size: Number, correction: Number) -> None:
        """A step along the gradients, after which they are zero."""
        vectors = self.flat.values, self.flat.gradients, self.mean, self.square
        functional.adam(*vectors, step_size, correction, BETA1, BETA2, EPSILON)


class SGD:
    """Stochastic gradient descent without momentum."""

    def __init__(self, flat: FlatParameters):
        self.flat = flat

    def vectors(self) -> dict[str, Tensor]:
        """Nothing: it has no memory."""
        return {}

    def numbers(self, step: int, lr: float) -> list[float]:
        """What `update` needs at a step."""
        return [lr]

    def update(self, lr: Number) -> None:
        """A step along the gradients, after which they are zero."""
        self.flat.values.sub_(self.flat.gradients.mul_(lr))
        self.flat.gradients.zero_()


class Weights(Mapping[str, Tensor]):
    """A model's parameters, as one vector, and its buffers, such as a BatchNorm's, by name.

    The buffers are those that it has when one is asked for: a model may put another in its place.
    """

    def __init__(self, model: nn.Module, vector: Tensor):
        self.vector = vector
        self.buffers: dict[str, tuple[dict[str, Tensor | None], str]] = {}
        for name, _ in model.named_buffers():
            path, _, own_name = name.rpartition(".")
            self.buffers[f"buffers.{name}"] = model.get_submodule(path)._buffers, own_name

    def __getitem__(self, name: str) -> Tensor:
        if name == "values":
            return self.vector
        buffers, own_name = self.buffers[name]
        buffer = buffers[own_name]
        if buffer is None:
            raise KeyError(name)
        return buffer

    def __iter__(self) -> Iterator[str]:
        return iter(["values", *self.buffers])

    def __len__(self) -> int:
        return 1 + len(self.buffers)


class PolynomialDecayAverage:
    """A model's weights averaged over about the last tenth of its steps, buffers included.

    At a constant learning rate the weights jitter around a better place, and their average is close
    to it. The window grows with the training (polynomial-decay averaging, Shamir & Zhang 2013,
    "Stochastic gradient descent for non-smooth optimization", section 4), so that early epochs are
    not held back; Polyak & Juditsky 1992 is the source of the idea.
    """

    def __init__(self, weights: Mapping[str, Tensor]):
        self.weights = weights  # the model's own, by name
        self.values = clone(weights)

    def numbers(self, step: int) -> list[float]:
        """What `update` needs at a step, counted from 1: the weight of the newest."""
        return [(ETA + 1) / (ETA + step)]

    def update(self, share: Number) -> None:
        """Take in the weights after a step."""
        for name, value in self.values.items():
            if value.is_floating_point():
                functional.lerp(value, self.weights[name], share)
            else:
                value.copy_(self.weights[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights within the block, and its own after it."""
        own = clone(self.weights)
        copy(self.weights, self.values)
        try:
            yield
        finally:
            copy(self.weights, own)


class Optimization:
    """The steps of a training: the optimizer's, with a warm-up, and the average of where they lead.

    `warmup` is how many steps that takes, `steps` how many were taken.
    """

    def __init__(self, model: nn.Module, optimizer: str, lr: float, warmup: int = WARMUP):
        self.flat = FlatParameters(model)
        self.weights = Weights(model, self.flat.values)
        self.optimizer = OPTIMIZERS[optimizer](self.flat)
        self.average = PolynomialDecayAverage(self.weights)
        self.lr, self.warmup, self.steps = lr, warmup, 0

    def next(self) -> list[float]:
        """The numbers of the next step, which this counts."""
        self.steps += 1
        lr = self.lr * warmth(self.steps, self.warmup)
        return self.optimizer.numbers(self.steps, lr) + self.average.numbers(self.steps)

    @torch.no_grad()
    def update(self, numbers: Sequence[Number]) -> None:
        """A step along the gradients, with the numbers of `next`."""
        *of_optimizer, share = numbers
        self.optimizer.update(*of_optimizer)
        self.average.update(share)

    def buffers(self) -> list[Tensor]:
        """The model's buffers of floats, and their averages: what each process has its own of."""
        names = [name for name in self.weights if name != "values"]
        both = [values[name] for values in (self.weights, self.average.values) for name in names]
        return [buffer for buffer in both if buffer.is_floating_point()]

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next step follows from, by name; but for the steps the memory itself."""
        average = {f"average.{name}": value for name, value in self.average.values.items()}
        steps = {"steps": torch.tensor([self.steps])}
        return {**self.weights, **average, **self.optimizer.vectors(), **steps}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a copy of what `state_dict` gave."""
        self.steps = int(state["steps"])
        copy(self.state_dict(), state)


def clone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tensors.items()}


def copy(to: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Let the tensors in `to` have the values of those of the same names."""
    for name, tensor in to.items():
        tensor.copy_(values[name])


def warmth(step: int, steps: int) -> float:
    """The share of the learning rate that a step takes, counted from 1: it rises to 1 in `steps`.

    Adam's first steps have the full length whatever the gradient, and at the original report's rate
    they kill units for good: of twelve denoisers four answered black to everything after an epoch,
    with a warm-up of 100 steps or more none (Goyal et al. 2017, "Accurate, large minibatch SGD").
    """
    return min(1.0, step / steps)


BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
ETA = 9  # the average spans about one part in ETA + 1 of the steps so far

OPTIMIZERS = {"adam": Adam, "sgd": SGD}

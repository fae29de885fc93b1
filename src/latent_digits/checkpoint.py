"""Where a training stands after an epoch, as arrays and numbers that can be sent and stored."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_digits.storage import Arrays

CARRIED = ("values", "mean", "square", "step_count")  # what a step hands to the next; see optim.py


@dataclass(frozen=True)
class Checkpoint:
    """All that the epochs to come follow from, beside the training's inputs.

    `arrays` are the weights of now and of the best epoch, their average, and the optimizer's
    moments; `history` is a row an epoch. `attempt` counts the starts; see `trainings.trained`.
    """

    arrays: Arrays
    history: list[dict[str, float]]
    attempt: int = 1

    @property
    def position(self) -> tuple[int, int]:
        """How far the training is: attempt and epoch."""
        return self.attempt, len(self.history)


def state_of(**parts: object) -> Arrays:
    """What each part carries from step to step, by `part.name`: vectors, on the CPU, copied."""
    return {
        f"{part}.{name}": torch.as_tensor(vars(owner)[name]).reshape(-1).cpu().numpy().copy()
        for part, owner in parts.items()
        for name in CARRIED
        if name in vars(owner)
    }


def restore(state: Arrays, **parts: object) -> None:
    """Give the parts, new and of the same kind, what `state_of` took from theirs."""
    for name, array in state.items():
        part, _, attribute = name.partition(".")
        if part not in parts:
            continue
        held = vars(parts[part])[attribute]
        if isinstance(held, Tensor):
            held.copy_(torch.from_numpy(array))
        else:
            setattr(parts[part], attribute, array.item())

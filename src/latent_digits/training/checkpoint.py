"""Where a training stands after an epoch, as arrays and numbers that can be sent and stored."""

from dataclasses import dataclass

from latent_digits.data.storage import Arrays


@dataclass(frozen=True)
class Checkpoint:
    """All that the epochs to come follow from, beside the training's inputs.

    `arrays` are the state of the optimization (weights, their average, the optimizer's moments) and
    the weights of the best epoch; `history` is a row an epoch. `attempt` counts the starts, see
    `trainings.trained`.
    """

    arrays: Arrays
    history: list[dict[str, float]]
    attempt: int = 1

    @property
    def position(self) -> tuple[int, int]:
        """How far the training is: attempt and epoch."""
        return self.attempt, len(self.history)

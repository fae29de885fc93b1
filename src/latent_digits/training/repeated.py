"""A training step on the CPU, recorded in each epoch's first ones and replayed in the others.

Without the Python between its kernels a step takes two thirds to nine tenths of the time; see
`latent_digits.engine.recording`. What a network or an objective decides in Python has to hold for
an epoch, as it has on a GPU. So a step is taken both ways at the beginning and at the end of each
epoch, to see that it does, to the bit.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from latent_digits import engine
from latent_digits.console import UserError

Run = Callable[[Tensor], None]  # with a batch's indices
FEWEST = 50  # steps of an epoch for which a recording pays: with its checks it takes four


class Repeated:
    """`run`, which adds to `sums`; recorded for batches as large as an epoch's first.

    Others, such as an epoch's last, are run as they are, and all are where steps are not alike.
    """

    def __init__(self, run: Run, sums: Callable[[], Iterable[Tensor]]):
        self.run, self.sums = run, sums
        self.alike = True  # steps, as far as is known
        self.begin(0, False)

    def begin(self, steps: int, repeatable: bool) -> None:
        """An epoch of so many steps begins."""
        self.recorded = self.alike and repeatable and steps >= FEWEST
        self.first: Tensor | None = None
        self.recording: engine.Recording | None = None

    def __call__(self, batch: Tensor) -> None:
        if not self.recorded:
            self.run(batch)
        elif self.first is None:  # what is set up once is no part of a step
            self.first = batch
            self.run(batch)
        elif len(batch) != len(self.first):
            self.run(batch)
        elif self.recording is None:
            self.record(batch)
        elif self.threads != engine.threads():
            self.end()
            self.record(batch)
        else:
            self.batch.copy_(batch)
            self.recording.replay()

    def record(self, batch: Tensor) -> None:
        """`run`, recorded; no step is replayed if one is something else than another is."""
        self.threads, self.batch = engine.threads(), batch.clone()
        with engine.Recording() as recording:
            self.run(self.batch)
        self.recording = recording
        if self.first is not None:
            self.batch.copy_(self.first)  # another, so that what is always the same is found
        self.recorded = self.alike = self.agrees()

    def end(self) -> None:
        """The epoch has ended, or others compute it.

        Raises UserError where a replay is no more what the step is.
        """
        if self.recorded and self.recording and not self.agrees():
            raise UserError(
                "the network or the objective computes something else at an epoch's end than at "
                "its beginning, which recorded steps do not follow; let it change at every step, "
                "or between epochs."
            )

    def agrees(self) -> bool:
        """Whether a replay does what `run` does with the batch at hand; neither leaves a trace."""
        if self.recording is None or self.recording.refused:
            return False
        draws, before = torch.get_rng_state(), [value.clone() for value in self.sums()]
        outcomes = []
        for take in (self.recording.replay, lambda: self.run(self.batch)):
            take()
            outcomes.append([value.numpy().tobytes() for value in self.sums()])
            torch.set_rng_state(draws)
            for value, earlier in zip(self.sums(), before, strict=True):
                value.copy_(earlier)
        return outcomes[0] == outcomes[1]

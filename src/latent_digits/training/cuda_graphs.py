"""A training step on a GPU, recorded once as a CUDA graph and replayed.

The host starts one graph a step then, not some two hundred kernels, which take longer to start than
to run ("Accelerating PyTorch with CUDA graphs", PyTorch 2021).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latent_digits.training.optimizers import Number

Take = Callable[[Tensor, Sequence[Number]], None]  # a batch, and the numbers of `Optimization.next`
EAGER_STEPS = 3  # before the recording, for what libraries set up when they are first called


def recorded(run: Callable[[], None]) -> Callable[[], None]:
    """What does the work of `run` on the GPU again whenever it is called."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


class Replayed:
    """`take` for batches of one size; others, such as the last of an epoch, are not recorded.

    What changes from step to step lies in fixed memory, where the recorded step reads it.
    """

    def __init__(
        self,
        take: Take,
        batch_size: int,
        device: torch.device,
        record: Callable[[Callable[[], None]], Callable[[], None]] = recorded,
    ):
        self.take, self.record = take, record
        self.batch = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self.numbers: list[Tensor] = []
        self.eager_steps = 0
        self.replay: Callable[[], None] | None = None

    def __call__(self, batch: Tensor, numbers: Sequence[Number]) -> None:
        if len(batch) != len(self.batch):
            self.take(batch, numbers)
            return
        self.batch.copy_(batch)
        self.numbers = self.numbers or [batch.new_zeros((), dtype=torch.float32) for _ in numbers]
        for place, number in zip(self.numbers, numbers, strict=True):
            place.fill_(number)
        if self.eager_steps < EAGER_STEPS:
            self.eager_steps += 1
            self.apart(lambda: self.take(self.batch, self.numbers))
            return
        if self.replay is None:
            self.replay = self.record(lambda: self.take(self.batch, self.numbers))
        self.replay()

    def apart(self, run: Callable[[], None]) -> None:
        """`run` on a stream of its own, as a recording needs of what goes before it."""
        if not self.batch.is_cuda:
            run()
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            run()
        torch.cuda.current_stream().wait_stream(stream)

"""The engine: networks of `torch.nn` layers and what surrounds them, compiled for the CPU.

`accelerate(model)` makes the recognised parts of a model fast and leaves the rest to PyTorch;
`explain(model)` says which is which; within `off()` PyTorch computes everything. It knows nothing
of the project.
"""

from latent_digits.engine.recording import Recording, each_of
from latent_digits.engine.sequential import (
    Watch,
    accelerate,
    adding,
    explain,
    is_repeatable,
    left_to_pytorch,
    noted,
)
from latent_digits.engine.switch import off
from latent_digits.engine.team import threads, use_threads

__all__ = [
    "Recording",
    "Watch",
    "accelerate",
    "adding",
    "each_of",
    "explain",
    "is_repeatable",
    "left_to_pytorch",
    "noted",
    "off",
    "threads",
    "use_threads",
]

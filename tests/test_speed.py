"""A guard, not a measurement: this project's step stays well ahead of plain PyTorch's.

`make bench` measures; here both take turns for a few seconds, the bound is generous, and
it is of CPU time, which tests that run beside leave as it is.
"""

import statistics
import sys
import time

import torch

from latent_digits import engine
from latent_digits.models.networks import Autoencoder
from latent_digits.models.objectives import reconstruction
from latent_digits.training.loop import Pairs, Steps
from latent_digits.training.optimizers import Optimization
from smoke import PROJECT

sys.path.insert(0, str(PROJECT / "benchmarks"))
from peers import BATCH, DROPOUT, LATENT_DIM, LR, Plain

AHEAD = 1.5  # measured: about 3


def test_a_step_is_faster_than_plain_pytorchs() -> None:
    images = torch.randint(0, 256, (2 * BATCH["ae"], 1, 28, 28), dtype=torch.uint8)
    model = engine.accelerate(Autoencoder(LATENT_DIM, DROPOUT))
    pairs, optimization = Pairs(images, images), Optimization(model, "adam", LR)
    steps = Steps(model, reconstruction, pairs, BATCH["ae"], optimization)
    plain = Plain("ae", images, images)
    ratios = []
    for _ in range(15):
        began = time.process_time()
        plain.train_epoch()
        between = time.process_time()
        steps.epoch()
        ratios.append((between - began) / (time.process_time() - between))
    assert statistics.median(ratios) > AHEAD, sorted(ratios)

"""How sure a change is: over the images that both sides were measured on, and over seeds.

Two claims are kept apart. That *these two trainings differ* is settled by their test images, in
pairs. That *this recipe is better* needs the noise of seeds as well, since another seed moves a
metric by more than other images would:

    SE² = SE_images² + σ_seed² (1/n₁ + 1/n₂)

with Student's t of the degrees of freedom that σ has. (Satterthwaite's would be more, and most
where σ is underestimated by chance: 7 % of simulated redraws were then called a change.)
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.05
RESAMPLES = 2000


class SeedNoise(NamedTuple):
    """The standard deviation of a metric between seeds, and its degrees of freedom."""

    sigma: float
    freedom: int


class Change(NamedTuple):
    """A change of a mean, its 95 % interval, and the p-value of there being none."""

    value: float
    low: float
    high: float
    p: float


def noise_of(*sides: Sequence[float]) -> SeedNoise | None:
    """The noise of seeds pooled over samples of one metric; None where each has one seed only."""
    freedom = sum(len(side) - 1 for side in sides if side)
    if freedom < 1:
        return None
    squares = sum(float(np.var(side)) * len(side) for side in sides if side)
    return SeedNoise(math.sqrt(squares / freedom), freedom)


def error_over_images(base: np.ndarray, head: np.ndarray) -> float:
    """The standard error of the mean difference of one value an image, paired, [N] each."""
    if base.shape != head.shape:
        raise ValueError(f"{len(base)} and {len(head)} images cannot be paired")
    return float((head - base).std(ddof=1)) / math.sqrt(len(base))


def change(base: Sequence[float], head: Sequence[float], images: float, noise: SeedNoise) -> Change:
    """The change of a metric's mean over seeds.

    `images` is the standard error over images, 0 where the metric has no value an image.
    """
    value = float(np.mean(head) - np.mean(base))
    error = math.sqrt(images**2 + noise.sigma**2 * (1 / len(base) + 1 / len(head)))
    if error == 0:
        return Change(value, value, value, float(value == 0))
    reach = float(stats.t.ppf(1 - LEVEL / 2, noise.freedom)) * error
    p = 2 * float(stats.t.sf(abs(value) / error, noise.freedom))
    return Change(value, value - reach, value + reach, p)


def change_over_images(base: np.ndarray, head: np.ndarray, seed: int) -> Change:
    """The change between two trainings, over the images that both were measured on, [N] each.

    The interval is a paired percentile bootstrap (Efron 1979), `seed` that of its resamples; the
    p-value is the normal one of the same differences.
    """
    difference = head - base
    found = stats.bootstrap(
        (difference,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    value, error = float(difference.mean()), error_over_images(base, head)
    p = 2 * float(stats.norm.sf(abs(value) / error)) if error else float(value == 0)
    return Change(value, float(found.low), float(found.high), p)


def mcnemar(base: np.ndarray, head: np.ndarray) -> float:
    """The p-value of two classifiers being right equally often, exact (McNemar 1947).

    `base` and `head` say which images each has right, bool [N]; only where they differ counts.
    """
    only_base, only_head = int((base & ~head).sum()), int((head & ~base).sum())
    if only_base + only_head == 0:
        return 1.0
    return float(stats.binomtest(only_base, only_base + only_head).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values of a family of tests, corrected so that one false alarm in all is rare.

    Holm 1979: the least times their number, the next times one less, never falling.
    """
    if not all(math.isfinite(p) for p in p_values.values()):
        raise ValueError(f"a p-value is not finite: {dict(p_values)}")
    corrected: dict[str, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        least = max(least, min(1.0, p_values[name] * (len(p_values) - rank)))
        corrected[name] = least
    return corrected

"""Denoising without learning: three classical filters, tuned as well as they can be.

Images are [N, H, W] in [0, 1]. x clean, y noisy.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

ITERATIONS = 40  # of total variation; with 20 or 100 its least error is the same within 6 %
Filter = Callable[[np.ndarray, float], np.ndarray]


def median(y: np.ndarray, size: float) -> np.ndarray:
    """The median of the square of `size` × `size` pixels around each."""
    return ndimage.median_filter(y, size=(1, int(size), int(size)))


def gaussian(y: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of so many pixels' standard deviation."""
    return ndimage.gaussian_filter(y, (0, sigma, sigma))


def total_variation(y: np.ndarray, weight: float) -> np.ndarray:
    """The images that minimize ‖x − y‖² / 2 + weight · Σ|∇x|, nearly: Chambolle 2004, equation 9.

    p is the dual field, a vector a pixel; 1/4 is the step that his section 3 finds to converge.
    """
    y = np.moveaxis(y, 0, -1).copy()
    target = y / weight
    p = np.zeros((2, *y.shape), y.dtype)
    for _ in range(ITERATIONS):
        slope = gradient(divergence(p) - target)
        slope /= 4
        p += slope
        p /= 1 + length(slope)
    return np.moveaxis(y - weight * divergence(p), -1, 0).copy()


# Images lie behind each other in the following, [H, W, N]: their loops are then long ones.


def gradient(x: np.ndarray) -> np.ndarray:
    """Differences to the next pixel below and to the right, [2, H, W, N]; 0 at the edge."""
    found = np.zeros((2, *x.shape), x.dtype)
    np.subtract(x[1:], x[:-1], out=found[0, :-1])
    np.subtract(x[:, 1:], x[:, :-1], out=found[1, :, :-1])
    return found


def length(field: np.ndarray) -> np.ndarray:
    """The length of the vector at each pixel, [2, H, W, N] to [H, W, N]."""
    return np.sqrt((field**2).sum(axis=0))


def divergence(p: np.ndarray) -> np.ndarray:
    """The negative adjoint of `gradient`: [2, H, W, N] to [H, W, N]."""
    found = np.zeros(p.shape[1:], p.dtype)
    found[:-1] += p[0, :-1]
    found[1:] -= p[0, :-1]
    found[:, :-1] += p[1, :, :-1]
    found[:, 1:] -= p[1, :, :-1]
    return found


FILTERS: dict[str, tuple[Filter, tuple[float, ...]]] = {  # and the strengths to choose from
    "median": (median, (3, 5)),
    "gaussian": (gaussian, (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)),
    "total_variation": (total_variation, (0.1, 0.15, 0.2, 0.25, 0.3, 0.4)),
}


def filtered(y: np.ndarray, apply: Filter, strength: float) -> np.ndarray:
    """What a filter makes of images, some at a time, which stay in the cache."""
    parts = np.array_split(y, max(1, len(y) // 100))
    return np.concatenate([apply(part, strength) for part in parts])


class Tuned(NamedTuple):
    """A filter, and the straight line that leads from its grey values to those of clean images.

    Noise whose mean is not 0, or that is clipped, brightens an image, and no filter undoes that.
    """

    apply: Filter
    strength: float
    slope: float
    offset: float

    def __call__(self, y: np.ndarray) -> np.ndarray:
        return self.levels(filtered(y, self.apply, self.strength))

    def levels(self, grey: np.ndarray) -> np.ndarray:
        return np.clip(self.slope * grey + self.offset, 0, 1)


def tuned(name: str, x: np.ndarray, y: np.ndarray) -> Tuned:
    """The filter of this name with the strength of the least error, each with its own line."""
    apply, strengths = FILTERS[name]
    candidates: dict[float, Tuned] = {}
    for strength in strengths:
        grey = filtered(y, apply, strength)
        one = Tuned(apply, strength, *line(grey, x))
        candidates.setdefault(float(((one.levels(grey) - x) ** 2).mean(dtype=float)), one)
    return candidates[min(candidates)]


def line(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the least-squares line from grey values y to x."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    variance = y.var()
    slope = ((y - y.mean()) * (x - x.mean())).mean() / variance if variance else 0.0
    return float(slope), float(x.mean() - slope * y.mean())

"""Straight lines through latent space, decoded: how evenly images change, and through what.

P paths, T frames, Z latent.
"""

import numpy as np
import torch
from torch import Tensor, nn

from latent_digits.evaluation.measures import predictions
from latent_digits.evaluation.neighbours import nearest
from latent_digits.models.objectives import EVAL_BATCH

FRAMES = 21  # with one in the middle


def disjoint_pairs(
    first: np.ndarray, second: np.ndarray, most: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random pairs of one position of each, [P] and [P]: no position twice, so that paths are
    independent; at most `most`.
    """
    rng = np.random.default_rng(seed)
    count = min(len(first), len(second), most)
    return rng.permutation(first)[:count], rng.permutation(second)[:count]


@torch.no_grad()
def decoded_paths(model: nn.Module, start: np.ndarray, end: np.ndarray) -> Tensor:
    """The frames on the lines between latents [P, Z] and [P, Z]: [P, T, S, S]."""
    share = torch.linspace(0, 1, FRAMES)[:, None]
    z = torch.lerp(torch.from_numpy(start)[:, None], torch.from_numpy(end)[:, None], share)
    decoder = model.get_submodule("decoder")
    frames = torch.cat([decoder(part)[:, 0] for part in z.flatten(0, 1).split(EVAL_BATCH)])
    return frames.view(*z.shape[:2], *frames.shape[1:])


def unevenness(frames: np.ndarray) -> np.ndarray:
    """The largest step from one frame to the next over the mean step, [P].

    A step is the Euclidean distance of two frames. 1: all are equal, or there is none; T - 1: the
    image stays, and jumps once.
    """
    steps = lengths(np.diff(frames, axis=1))
    mean = steps.mean(axis=1)
    return np.divide(steps.max(axis=1), mean, out=np.ones(len(mean)), where=mean > 0)


def bending(frames: np.ndarray) -> np.ndarray:
    """The mean length of the second differences of the frames over that of the first, [P].

    0: each pixel changes by the same at every step, as in a cross-fade; 2: it goes forth and back.
    """
    first = lengths(np.diff(frames, axis=1)).mean(axis=1)
    second = lengths(np.diff(frames, n=2, axis=1)).mean(axis=1)
    return np.divide(second, first, out=np.zeros(len(first)), where=first > 0)


def departure(frames: np.ndarray, images: np.ndarray) -> np.ndarray:
    """How far the middle frame is from the nearest of images [M, D], over its ends' mean, [P].

    1: half way it is as near to an image as the two reconstructions are; more: it looks like none.
    """
    chosen = frames[:, [0, frames.shape[1] // 2, -1]].reshape(len(frames) * 3, -1)
    near = images[nearest(images, chosen, 1)[:, 0]].astype(np.float64)
    first, middle, last = np.sqrt(((chosen - near) ** 2).sum(axis=1)).reshape(-1, 3).T
    return 2 * middle / np.maximum(first + last, np.finfo(float).tiny)


def lengths(differences: np.ndarray) -> np.ndarray:
    """Euclidean lengths over the pixels, float64 [P, T]."""
    flat = differences.reshape(*differences.shape[:2], -1).astype(np.float64)
    return np.sqrt((flat**2).sum(axis=2))


def seen(classifier: nn.Module, frames: Tensor) -> np.ndarray:
    """The class that the classifier takes each frame for, [P, T]."""
    return predictions(classifier, frames.flatten(0, 1)[:, None]).reshape(frames.shape[:2])

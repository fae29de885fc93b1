"""How far points of one class lie together: by the labels of a point's nearest neighbours."""

import numpy as np

from latent_digits.beside import in_threads

NEIGHBOURS = 5
BLOCK = 72  # points at a time: of 12,000 known ones their distances and keys take 10 MB


def knn_right(
    known: np.ndarray, labels: np.ndarray, asked: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """1 for each asked point whose nearest known points are mostly of its label, else 0.

    `known` is [M, D] with labels [M], `asked` [N, D] with labels [N]; the result is float64 [N]. Of
    labels with equally many votes the lowest counts.
    """
    votes = labels[nearest(known, asked, NEIGHBOURS)]  # [N, k]
    counts = (votes[:, :, None] == np.arange(labels.max() + 1)).sum(axis=1)
    return (counts.argmax(axis=1) == truth).astype(np.float64)


def nearest(known: np.ndarray, asked: np.ndarray, count: int) -> np.ndarray:
    """The positions of the known points nearest to each asked one, [N, count], in no order.

    Every distance is looked at; of equally distant points those of lower position are taken.
    """
    known, asked = (np.ascontiguousarray(one, dtype=np.float32) for one in (known, asked))
    centre = known.mean(axis=0)  # or the squares below would cancel far from the origin
    known, asked = known - centre, asked - centre
    squares = (known**2).sum(axis=1)
    positions = np.arange(len(known), dtype=np.uint64)

    def nearest_to(block: np.ndarray) -> np.ndarray:
        distances = block @ known.T  # and all that follows in place, while it is in a cache
        distances *= -2
        distances += squares
        distances += (block**2).sum(axis=1)[:, None]
        np.maximum(distances, 0, out=distances)
        # The bits of a float that is not negative are ordered as it is; the position decides ties.
        keys = distances.view(np.uint32).astype(np.uint64)
        keys <<= 32
        keys |= positions
        keys.partition(count - 1, axis=1)
        return keys[:, :count] & 0xFFFFFFFF

    blocks = [asked[start : start + BLOCK] for start in range(0, len(asked), BLOCK)]
    return np.concatenate(in_threads(nearest_to, blocks)).astype(np.int64)

"""Train, validation and test sets: drawn once, by seed, and stored as separate files."""

import hashlib
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from latent_digits.data.dataset import Dataset
from latent_digits.preparation.mnist import Mnist
from latent_digits.seeds import seed_for


class Splits(NamedTuple):
    train: Dataset
    val: Dataset
    test: Dataset


def draw_splits(mnist: Mnist, train: int, val: int, test: int, stratify: bool, seed: int) -> Splits:
    """`train` and `val` of the 60,000 training images, `test` of the 10,000 test images.

    With `stratify`, each of train and val holds the ten digits in their shares of the whole.
    """
    train_index, val_index = draw(mnist.train_labels, train, val, stratify, seed, "train-val")
    test_index = np.arange(len(mnist.test_labels))
    if test < len(test_index):
        test_index, _ = draw(
            mnist.test_labels, test, len(test_index) - test, stratify, seed, "test"
        )
    parts = (
        (mnist.train_images, mnist.train_labels, train_index),
        (mnist.train_images, mnist.train_labels, val_index),
        (mnist.test_images, mnist.test_labels, test_index),
    )
    digest = digest_of(parts)
    return Splits(
        *(Dataset(images[index], labels[index], index, digest) for images, labels, index in parts)
    )


def draw(
    labels: np.ndarray, first: int, second: int, stratify: bool, seed: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint draws of positions, in random order."""
    first_index, second_index = train_test_split(
        np.arange(len(labels)),
        train_size=first,
        test_size=second,
        stratify=labels if stratify else None,
        random_state=seed_for(seed, "prepare", name) % 2**32,  # numpy's legacy seeds have 32 bits
    )
    return np.asarray(first_index), np.asarray(second_index)


def digest_of(parts: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]) -> str:
    """A sha256 that any change of an image, a label or the split changes."""
    whole = hashlib.sha256()
    for images, labels, index in parts:
        for array in (images[index], labels[index], index):
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()

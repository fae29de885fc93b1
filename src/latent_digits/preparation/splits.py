"""Train, validation and test sets: drawn once, by seed, and stored as separate files."""

import hashlib
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset
from latent_digits.preparation.collection import Collection, Labelled
from latent_digits.seeds import seed_for

Part = tuple[Labelled, np.ndarray]  # images, and the places of those taken


class Splits(NamedTuple):
    train: Dataset
    val: Dataset
    test: Dataset


def draw_splits(
    found: Collection, train: int, val: int, test: int, stratify: bool, seed: int
) -> Splits:
    """`train` and `val` of the training images, `test` of the test images, or of the same.

    With `stratify`, each set that is drawn holds the classes in their shares of the whole. Raises
    UserError where there are too few images for what is asked.
    """
    stratify = stratify and bool(found.classes)
    check_counts(found, train, val, test)
    pool = np.arange(len(found.train.labels))
    if found.test is None:
        test_index, pool = draw(found.train, pool, test, len(pool) - test, stratify, seed, "test")
        test_part = found.train, test_index
    else:
        test_index = np.arange(len(found.test.labels))
        if test < len(test_index):
            left = len(test_index) - test
            test_index, _ = draw(found.test, test_index, test, left, stratify, seed, "test")
        test_part = found.test, test_index
    train_index, val_index = draw(found.train, pool, train, val, stratify, seed, "train-val")
    parts = (found.train, train_index), (found.train, val_index), test_part
    for name, part in zip(Splits._fields, parts, strict=True):
        check_classes(found, name, part)
    digest = digest_of(parts)
    about = digest, found.name, found.classes
    return Splits(
        *(Dataset(one.images[index], one.labels[index], index, *about) for one, index in parts)
    )


def draw(
    source: Labelled,
    pool: np.ndarray,
    first: int,
    second: int,
    stratify: bool,
    seed: int,
    name: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint draws of the places in `pool`, in random order."""
    try:
        first_index, second_index = train_test_split(
            pool,
            train_size=first,
            test_size=second,
            stratify=source.labels[pool] if stratify else None,
            random_state=seed_for(seed, "prepare", name) % 2**32,  # numpy's old seeds have 32 bits
        )
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{first} and {second} images cannot be drawn with the classes in equal shares "
            f"({reason}); change prepare.{name.replace('-', ' and prepare.')} or set "
            "prepare.stratify to false in params.yaml."
        ) from None
    return np.asarray(first_index), np.asarray(second_index)


def check_counts(found: Collection, train: int, val: int, test: int) -> None:
    """Raise UserError where more images are asked for than there are."""
    there = len(found.train.labels)
    asked = {"train": train, "val": val}
    if found.test is None:
        asked["test"] = test
    elif test > len(found.test.labels):
        raise UserError(
            f"prepare.test is {test}, and {found.name} has {len(found.test.labels)} test images; "
            "lower it in params.yaml."
        )
    if sum(asked.values()) > there:
        names = " + ".join(f"prepare.{name}" for name in asked)
        kind = "images" if found.test is None else "training images"
        raise UserError(
            f"{names} is {sum(asked.values())}, and {found.name} has {there} {kind}; lower them in "
            "params.yaml."
        )


def check_classes(found: Collection, name: str, part: Part) -> None:
    """Raise UserError unless each class is in a set, which measures and figures need."""
    labels = part[0].labels[part[1]]
    missing = [one for label, one in enumerate(found.classes) if label not in labels]
    if missing:
        raise UserError(
            f"the {name} set of {len(labels)} images has none of {missing[0]}, and every class "
            f"should be in it; raise prepare.{name}, or set prepare.stratify to true in "
            "params.yaml."
        )
    if name == "val" and len(labels) <= len(found.classes):
        raise UserError(
            f"prepare.val is {len(labels)}; it should be more than the {len(found.classes)} "
            "classes of the data set, for the Davies-Bouldin index."
        )


def digest_of(parts: tuple[Part, ...]) -> str:
    """A sha256 that any change of an image, a label or the split changes."""
    whole = hashlib.sha256()
    for (images, labels), index in parts:
        for array in (images[index], labels[index], index):
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()

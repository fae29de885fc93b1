"""One stored set of images: what `prepare` writes and every later stage reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latent_digits.console import UserError
from latent_digits.data.storage import Row, read_tensors, write_tensors


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [N, S, S], labels int64 [N], and each image's index among those of its source.

    `digest` names the split that the set is part of: train, val and test share it. A label is a
    position in `classes`, or -1 where the data set `name` has no labels, and so no classes.
    """

    images: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    digest: str
    name: str
    classes: tuple[str, ...]

    @property
    def size(self) -> int:
        """The pixels of a side."""
        return self.images.shape[1]


def save_dataset(path: Path, dataset: Dataset) -> None:
    tensors = {"images": dataset.images, "labels": dataset.labels, "index": dataset.index}
    about = {"split": dataset.digest, "name": dataset.name, "classes": dataset.classes}
    write_tensors(path, tensors, about)


def load_dataset(path: Path) -> Dataset:
    """A stored set. Raises UserError when the file is missing, unreadable or something else."""
    tensors, about = read_tensors(path)
    if sorted(tensors) != ["images", "index", "labels"] or "classes" not in about:
        raise UserError(f"{path} holds {sorted(tensors)}, no data set; run `dvc repro prepare`.")
    arrays = tensors["images"], tensors["labels"], tensors["index"]
    return Dataset(*arrays, about["split"], about["name"], tuple(about["classes"]))


def require_same_split(path: Path, about: Row, dataset: Dataset) -> None:
    """Raise UserError unless the file at `path` was made from the split of `dataset`."""
    if about.get("split") != dataset.digest:
        raise UserError(
            f"{path} was made from another data set (split {str(about.get('split'))[:12]}) than "
            f"the one in data/split (split {dataset.digest[:12]}); run `dvc repro` to make it anew."
        )

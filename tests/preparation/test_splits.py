"""The split: disjoint, stratified, the same for the same seed, and recognised by its digest."""

from pathlib import Path

import numpy as np
import pytest

from latent_digits.console import UserError
from latent_digits.data.dataset import load_dataset, require_same_split, save_dataset
from latent_digits.data.storage import write_tensors
from latent_digits.preparation.collection import DIGITS, Collection, Labelled
from latent_digits.preparation.splits import Splits, draw_splits


def collection() -> Collection:
    rng = np.random.default_rng(0)
    labels, test_labels = rng.integers(0, 10, 2000), rng.integers(0, 10, 300)
    images = rng.integers(0, 256, (2000, 28, 28), dtype=np.uint8)
    return Collection(
        "made up", DIGITS, Labelled(images, labels), Labelled(images[:300], test_labels)
    )


def draw(seed: int = 1, train: int = 800, val: int = 200, test: int = 300) -> Splits:
    return draw_splits(collection(), train, val, test, stratify=True, seed=seed)


def test_sizes_and_disjointness() -> None:
    splits = draw()
    assert [len(part.labels) for part in splits] == [800, 200, 300]
    assert not set(splits.train.index) & set(splits.val.index)
    assert len(set(splits.train.index)) == 800


def test_images_and_labels_follow_their_index() -> None:
    source, splits = collection(), draw()
    for part in (splits.train, splits.val):
        np.testing.assert_array_equal(part.images, source.train.images[part.index])
        np.testing.assert_array_equal(part.labels, source.train.labels[part.index])
    np.testing.assert_array_equal(splits.test.images, source.test.images)


def test_stratified() -> None:
    splits = draw()
    whole = np.bincount(collection().train.labels, minlength=10) / 2000
    for part in (splits.train, splits.val):
        shares = np.bincount(part.labels, minlength=10) / len(part.labels)
        np.testing.assert_allclose(shares, whole, atol=0.006)


def test_the_seed_decides() -> None:
    assert draw(1).train.digest == draw(1).train.digest
    assert draw(1).train.digest != draw(2).train.digest
    assert draw(1).train.digest != draw(1, test=200).train.digest


def test_stored_and_read_again(tmp_path: Path) -> None:
    path, dataset = tmp_path / "val.safetensors", draw().val
    save_dataset(path, dataset)
    again = load_dataset(path)
    np.testing.assert_array_equal(again.images, dataset.images)
    assert again.digest == dataset.digest
    first = path.read_bytes()
    save_dataset(path, dataset)
    assert path.read_bytes() == first


def test_another_file_or_another_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write_tensors(path, {"weights": np.zeros(3)}, {})
    with pytest.raises(UserError, match=r"holds \['weights'\], no data set"):
        load_dataset(path)
    with pytest.raises(UserError, match="made from another data set"):
        require_same_split(path, {"split": "abc"}, draw().val)

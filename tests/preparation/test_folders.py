"""Folders of one's own images: their forms, and what is said of those that are none."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from latent_digits.console import UserError
from latent_digits.models.architecture import Architecture
from latent_digits.models.networks import Decoder, Encoder
from latent_digits.preparation.collection import Collection
from latent_digits.preparation.folders import SMALLEST, load_folder
from latent_digits.preparation.splits import draw_splits

SIDE = 12


def put(folder: Path, *places: str, count: int = 6, side: int = SIDE) -> Path:
    """`count` images in each of these places; the n-th of a place has the grey value n."""
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = np.full((side, side), number, np.uint8)
            Image.fromarray(image).save(folder / place / f"{number}.png")
    return folder


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


def put_idx(folder: Path, **arrays: np.ndarray) -> Path:
    """Idx files by part and kind, such as train_labels, the labels gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        part, kind = name.split("_")
        path = folder / f"{part}-{kind}-idx{values.ndim}-ubyte"
        if kind == "labels":
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(idx(values)))
        else:
            path.write_bytes(idx(values))
    return folder


def split(found: Collection, train: int = 8, val: int = 6, test: int = 4, **other: bool) -> list:
    return [*draw_splits(found, train, val, test, **{"stratify": True, **other}, seed=1)]


def test_folders_by_class_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    found = load_folder(put(tmp_path / "leaves", "oak", "elm"))
    assert found.name == "leaves"
    assert found.classes == ("elm", "oak")
    assert found.train.images.shape == (12, SIDE, SIDE)
    assert found.train.images.dtype == np.uint8
    assert found.train.labels.tolist() == [0] * 6 + [1] * 6
    assert found.train.images[:, 0, 0].tolist() == [*range(6)] * 2
    assert found.test is None


def test_a_folder_takes_no_known_sets_name(tmp_path: Path) -> None:
    assert load_folder(put(tmp_path / "MNIST", "oak", "elm")).name == "own MNIST"


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    assert load_folder(put(tmp_path, "10", "9", "2")).classes == ("2", "9", "10")


def test_a_test_part_of_ones_own_is_kept_apart(tmp_path: Path) -> None:
    put(tmp_path, "train/oak", "train/elm")
    found = load_folder(put(tmp_path, "test/oak", "test/elm", count=2))
    assert found.classes == ("elm", "oak")
    assert found.test is not None
    assert found.test.labels.tolist() == [0, 0, 1, 1]
    train, val, test = split(found, train=6, val=6)
    assert sorted(test.index) == [0, 1, 2, 3]
    assert not set(train.index) & set(val.index)


def test_without_a_test_part_its_images_are_drawn_of_the_rest(tmp_path: Path) -> None:
    found = load_folder(put(tmp_path, "oak", "elm", count=9))
    train, val, test = split(found)
    parts = [set(part.index) for part in (train, val, test)]
    assert [len(part) for part in parts] == [8, 6, 4]
    assert len(set.union(*parts)) == 18
    for part in (train, val, test):
        assert np.bincount(part.labels).tolist() == [len(part.labels) / 2] * 2
        np.testing.assert_array_equal(part.images, found.train.images[part.index])
    assert split(found)[2].index.tolist() == test.index.tolist()


def test_images_beside_each_other_have_no_labels(tmp_path: Path) -> None:
    found = load_folder(put(tmp_path / "pile", "", count=20))
    assert found.classes == ()
    train, val, test = split(found)
    assert {label for part in (train, val, test) for label in part.labels} == {-1}
    parts = load_folder(put(tmp_path / "parts", "train", "test"))
    assert parts.classes == ()
    assert parts.test is not None


def test_idx_files_with_labels_of_any_numbers(tmp_path: Path) -> None:
    images = np.arange(4 * SIDE * SIDE).reshape(4, SIDE, SIDE) % 256
    labels = np.array([7, 20, 3, 7])
    found = load_folder(
        put_idx(
            tmp_path / "letters",
            **{"train_images": images, "train_labels": labels},
            **{"t10k_images": images[:2], "t10k_labels": labels[:2]},
        )
    )
    assert found.classes == ("3", "7", "20")
    assert found.train.labels.tolist() == [1, 2, 0, 1]
    assert found.test is not None
    assert found.test.labels.tolist() == [1, 2]
    np.testing.assert_array_equal(found.train.images, images)


def test_idx_files_without_labels_or_test_part(tmp_path: Path) -> None:
    found = load_folder(put_idx(tmp_path, train_images=np.zeros((3, SIDE, SIDE))))
    assert (found.classes, found.test) == ((), None)


def test_what_programs_hide_in_folders_is_no_image(tmp_path: Path) -> None:
    put(tmp_path, "oak", "elm")
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "oak/.thumbnail.jpg").touch()
    assert len(load_folder(tmp_path).train.images) == 12


def colour(folder: Path) -> None:
    Image.new("RGB", (SIDE, SIDE)).save(folder / "oak/3.png")


def deep(folder: Path) -> None:
    Image.new("I;16", (SIDE, SIDE)).save(folder / "oak/3.png")


def cut(folder: Path) -> None:
    path = folder / "oak/3.png"
    path.write_bytes(path.read_bytes()[:50])


def text(folder: Path) -> None:
    (folder / "oak/3.png").write_text("no image")


def larger(folder: Path) -> None:
    Image.new("L", (SIDE + 1, SIDE + 1)).save(folder / "oak/3.png")


def stray(folder: Path) -> None:
    (folder / "oak/notes.txt").touch()


def beside(folder: Path) -> None:
    (folder / "readme.txt").touch()


def empty(folder: Path) -> None:
    (folder / "ash").mkdir()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            colour,
            "oak/3.png is in colour or has another form than 8 bits of grey (Pillow's mode R",
        ),
        (
            deep,
            "oak/3.png is in colour or has another form than 8 bits of grey (Pillow's mode I",
        ),
        (cut, "oak/3.png cannot be read ("),
        (text, "oak/3.png cannot be read (cannot identify image file"),
        (larger, "oak/3.png is 13 × 13 pixels, and 0.png is 12 × 12; all images should be of one"),
        (stray, "oak/notes.txt is no PNG image; convert it, or take it out."),
        (beside, "has both folders and files, such as readme.txt; it should have images in one"),
        (empty, "ash has no images; add some, or remove the folder."),
    ],
)
def test_the_file_that_is_wrong_is_named(
    tmp_path: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    put(tmp_path, "oak", "elm")
    spoil(tmp_path)
    with pytest.raises(UserError) as error:
        load_folder(tmp_path)
    assert expected in str(error.value)


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="has no images; add some"):
        load_folder(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds one class, oak, which nothing can be told from"):
        load_folder(put(tmp_path / "one", "oak"))
    with pytest.raises(UserError, match="take 5 × 5 at least: enlarge them"):
        load_folder(put(tmp_path / "small", "oak", "elm", side=4))
    put(tmp_path / "other", "train/oak", "train/elm", "test/ash")
    with pytest.raises(UserError, match="has test images of ash, of which there are none to train"):
        load_folder(tmp_path / "other")
    put(tmp_path / "half", "train/oak", "train/elm", "test")
    with pytest.raises(UserError, match="has labels for one of its parts alone"):
        load_folder(tmp_path / "half")


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"t10k_images": np.zeros((3, SIDE, SIDE))}, "but no train-images-idx3-ubyte; add it"),
        ({"train_images": np.zeros((3, SIDE, SIDE + 1))}, "13 × 12 pixels; they should be square"),
        (
            {"train_images": np.zeros((3, SIDE, SIDE)), "train_labels": np.zeros(2)},
            "has 3 images and 2 labels in its train files",
        ),
        (
            {"train_images": np.zeros((3, 12, 12)), "t10k_images": np.zeros((3, 17, 17))},
            "has training and test images of two sizes",
        ),
    ],
)
def test_idx_files_that_do_not_fit(tmp_path: Path, arrays: dict, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        load_folder(put_idx(tmp_path, **arrays))


def test_a_broken_idx_file_is_named(tmp_path: Path) -> None:
    put_idx(tmp_path, train_images=np.zeros((3, SIDE, SIDE)))
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"ubyte cannot be read: it has 431 values, and by its"):
        load_folder(tmp_path)
    path.write_text("no")
    with pytest.raises(UserError, match="it is no idx file of bytes"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {"train": 10},
            r"prepare.train \+ prepare.val \+ prepare.test is 20, and .* has 18 i",
        ),
        ({"train": 1}, "1 and 6 images cannot be drawn with the classes in equal shares"),
        ({"val": 2}, "prepare.val is 2; it should be more than the 2 classes of the data set"),
        ({"test": 1}, "1 and 17 images cannot be drawn .* change prepare.test or set"),
    ],
)
def test_too_few_images_for_what_is_asked(tmp_path: Path, asked: dict, expected: str) -> None:
    found = load_folder(put(tmp_path, "oak", "elm", count=9))
    with pytest.raises(UserError, match=expected):
        split(found, **asked)


def test_more_test_images_than_there_are(tmp_path: Path) -> None:
    put(tmp_path, "train/oak", "train/elm", count=9)
    found = load_folder(put(tmp_path, "test/oak", "test/elm", count=1))
    with pytest.raises(UserError, match=r"prepare.test is 4, and .* has 2 test images"):
        split(found)


def test_a_class_that_a_set_lacks_is_named(tmp_path: Path) -> None:
    put(tmp_path, "oak", count=30)
    found = load_folder(put(tmp_path, "elm", count=1))
    with pytest.raises(UserError, match=r"the (val|test) set of \d images has none of elm"):
        split(found, stratify=False)


@pytest.mark.parametrize("side", range(SMALLEST, 36))
def test_every_pixel_is_seen_and_made(side: int, tmp_path: Path) -> None:
    assert (
        load_folder(put(tmp_path, "oak", "elm", side=side, count=1)).train.images.shape[1] == side
    )
    architecture = Architecture(side, (2, 2, 2), 4)
    encoder, decoder = Encoder(3, 0.0, architecture), Decoder(3, 0.0, architecture)
    for layers, shape in (([*encoder][:9], (1, 1, side, side)), ([*decoder][7:14], None)):
        x = torch.ones(shape or (1, 2, *[architecture.sides[-1]] * 2), requires_grad=True)
        for layer in layers:
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
        y = nn.Sequential(*layers)(x)
        y.sum().backward()
        assert x.grad is not None
        assert (x.grad > 0).all()
        assert (y > 0).all()


def test_smaller_images_than_are_refused_leave_nothing() -> None:
    assert Architecture(SMALLEST).sides[-1] == 1
    assert Architecture(SMALLEST - 1).sides[-1] < 1

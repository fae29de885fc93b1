"""A folder of one's own images as a data set: idx files, or PNG images in folders by class."""

import gzip
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from latent_digits.console import UserError, say
from latent_digits.preparation.collection import Collection, Labelled, parse_idx
from latent_digits.preparation.known import KNOWN

SMALLEST = 5  # pixels a side: of fewer the networks' three convolutions leave nothing
PARTS = {"train": "train", "test": "t10k"}  # a part's folder, and how its idx files begin
TITLES = {one.title for one in KNOWN}  # by which the report knows whose numbers to quote
Files = dict[str, list[Path]]  # images by class, or all under ""


class Named(NamedTuple):
    """Images uint8 [N, S, S], and each one's class by name, [N], if they have any."""

    images: np.ndarray
    names: np.ndarray | None


def load_folder(folder: Path) -> Collection:
    """The data set in a folder, in one of these forms; without labels nothing has a class.

    - `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same of `t10k`; gzipped or not
    - `train/CLASS/*.png` and `test/CLASS/*.png`
    - `CLASS/*.png`
    - `train/*.png` and `test/*.png`, or `*.png` in the folder itself, without labels

    Labels may be missing, and the test part, which is then drawn of the rest. Raises UserError
    naming what is wrong, down to the file.
    """
    if not folder.is_dir():
        raise UserError(
            f"prepare.dataset is {folder}, and there is no such folder; put images there, or name "
            "another data set in params.yaml."
        )
    read = from_idx if any(folder.glob("*-ubyte*")) else from_images
    train, test = read(folder)
    parts = [train, test] if test else [train]
    check_sizes(folder, parts)
    if len({part.names is None for part in parts}) > 1:
        raise UserError(f"{folder} has labels for one of its parts alone; add or remove the other.")
    classes = classes_of(folder, parts)
    said = f"{len(classes)} classes" if classes else "no labels"
    count, side = sum(len(part.images) for part in parts), train.images.shape[1]
    say(f"{folder.name}: {count} images of {side} × {side} pixels, {said}")
    name = f"own {folder.name}" if folder.name in TITLES else folder.name
    return Collection(name, classes, numbered(train, classes), test and numbered(test, classes))


def from_idx(folder: Path) -> tuple[Named, Named | None]:
    """Training and test part from idx files."""
    train, test = (idx_part(folder, begin) for begin in PARTS.values())
    if train is None:
        raise UserError(f"{folder} has idx files, but no train-images-idx3-ubyte; add it.")
    return train, test


def idx_part(folder: Path, begin: str) -> Named | None:
    images = read_idx(folder / f"{begin}-images-idx3-ubyte", dims=3)
    labels = read_idx(folder / f"{begin}-labels-idx1-ubyte", dims=1)
    if images is None:
        return None
    if labels is not None and len(labels) != len(images):
        raise UserError(
            f"{folder} has {len(images)} images and {len(labels)} labels in its {begin} files; "
            "they should be as many."
        )
    return Named(images, labels if labels is None else labels.astype(str))


def read_idx(path: Path, dims: int) -> np.ndarray | None:
    """The array of an idx file, or of the same with .gz behind; None where there is neither."""
    for one in (path, path.with_name(f"{path.name}.gz")):
        if one.is_file():
            try:
                content = one.read_bytes()
                found = parse_idx(content if one == path else gzip.decompress(content))
            except (OSError, EOFError, ValueError, zlib.error) as error:
                raise UserError(f"{one} cannot be read: {error}.") from None
            if found.ndim != dims:
                raise UserError(f"{one} has {found.ndim} dimensions; it should have {dims}.")
            return found
    return None


def from_images(folder: Path) -> tuple[Named, Named | None]:
    """Training and test part from PNG images; there is none to test where no folder says so."""
    names = {one.name for one in visible(folder)}
    if "train" in names and names <= {*PARTS}:
        found = {name: images_by_class(folder / name) for name in PARTS if name in names}
    else:
        found = {"train": images_by_class(folder)}
    count = sum(len(files) for part in found.values() for files in part.values())
    reader = Reader(folder, count)
    train, *test = (reader.read(part) for part in found.values())
    return train, test[0] if test else None


def images_by_class(folder: Path) -> Files:
    """The images in a folder's folders, by their names, or those in the folder itself."""
    found = visible(folder)
    folders = [one for one in found if one.is_dir()]
    if folders and len(folders) < len(found):
        stray = next(one for one in found if not one.is_dir())
        raise UserError(
            f"{folder} has both folders and files, such as {stray.name}; it should have images in "
            "one folder for each class, or no folders and no labels."
        )
    by_class = {one.name: visible(one) for one in folders} or {"": found}
    for name, files in by_class.items():
        if not files:
            raise UserError(f"{folder / name} has no images; add some, or remove the folder.")
        for file in files:
            if file.suffix.lower() != ".png":
                raise UserError(f"{file} is no PNG image; convert it, or take it out.")
    return by_class


def visible(folder: Path) -> list[Path]:
    """What is in a folder, but for what programs hide there, by name."""
    return sorted(one for one in folder.iterdir() if not one.name.startswith("."))


class Reader:
    """Reads images, and says from time to time how many it has."""

    def __init__(self, folder: Path, count: int):
        self.folder, self.count = folder, count
        self.done, self.said = 0, time.monotonic()
        self.first: tuple[Path, tuple[int, int]] | None = None

    def read(self, by_class: Files) -> Named:
        files = [(name, path) for name, paths in by_class.items() for path in paths]
        images = np.stack([self.image(path) for _, path in files])
        names = np.array([name for name, _ in files])
        return Named(images, None if "" in by_class else names)

    def image(self, path: Path) -> np.ndarray:
        """The grey values of one image, uint8 [S, S], of the size of the first."""
        try:
            with Image.open(path, formats=["PNG"]) as image:
                image.load()
        except Exception as error:  # whatever a broken file makes the library raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{path} cannot be read ({reason}); repair it, or take it out."
            ) from None
        if image.mode not in ("L", "1"):
            raise UserError(
                f"{path} is in colour or has another form than 8 bits of grey (Pillow's mode "
                f"{image.mode}), which is not supported; convert the images to grey."
            )
        self.first = self.first or (path, image.size)
        if image.size != self.first[1]:
            other, size = self.first
            raise UserError(
                f"{path} is {image.width} × {image.height} pixels, and {other.name} is {size[0]} × "
                f"{size[1]}; all images should be of one size."
            )
        self.done += 1
        if time.monotonic() - self.said > 5:
            self.said = time.monotonic()
            say(f"{self.folder.name}: {self.done} of {self.count} images")
        return np.asarray(image.convert("L"))


def check_sizes(folder: Path, parts: Sequence[Named]) -> None:
    """Raise UserError unless images are square and of one size that the networks can take."""
    for height, width in (part.images.shape[1:] for part in parts):
        found = f"{folder} has images of {width} × {height} pixels"
        if height != width:
            raise UserError(f"{found}; they should be square: cut or pad them.")
        if height < SMALLEST:
            raise UserError(
                f"{found}; the networks take {SMALLEST} × {SMALLEST} at least: enlarge them."
            )
    if len({part.images.shape[1] for part in parts}) > 1:
        raise UserError(f"{folder} has training and test images of two sizes; make them one.")


def classes_of(folder: Path, parts: Sequence[Named]) -> tuple[str, ...]:
    """The classes by name, numbers in their order; none without labels."""
    found = [sorted({*part.names.tolist()}) for part in parts if part.names is not None]
    if not found:
        return ()
    classes = found[0]
    if strangers := [name for part in found[1:] for name in part if name not in classes]:
        raise UserError(
            f"{folder} has test images of {strangers[0]}, of which there are none to train on."
        )
    if len(classes) == 1:
        raise UserError(
            f"{folder} holds one class, {classes[0]}, which nothing can be told from; add images "
            "of another, or put all into the folder itself, as a data set without labels."
        )
    return tuple(sorted(classes, key=int) if all(map(str.isdecimal, classes)) else classes)


def numbered(part: Named, classes: tuple[str, ...]) -> Labelled:
    if part.names is None:
        return Labelled(part.images, np.full(len(part.images), -1, np.int64))
    places = {name: place for place, name in enumerate(classes)}
    return Labelled(part.images, np.array([places[name] for name in part.names.tolist()], np.int64))

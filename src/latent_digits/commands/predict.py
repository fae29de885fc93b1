"""Labels, latents and reconstructions: `python -m latent_digits.commands.predict IMAGE …`.

Labels are the classifier's, the rest is the autoencoder's. Images are read and written in batches,
so that any number of them fits into memory. N images, H W pixels, Z latent.
"""

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn

from latent_digits.commands.trained import trained_model, validation_set
from latent_digits.console import ProgressDisplay, UserError, run_stage, say
from latent_digits.data.storage import atomic, files_of
from latent_digits.models.objectives import EVAL_BATCH

SHOWN, ACROSS = 100, 20  # images of the sheet, and in a row of it
INVERTED = 0.5  # brightness by which a border differs from the usual
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
HELP = """\
What the trained models make of images. OUT gets

  predictions.csv      file, image (its place in the file, from 0), and if the data set has labels
                       the likeliest label with its probability
  latents.npy          float32 [N, Z], in the order of the table
  reconstructions.npy  float32 [N, H, W] in [0, 1]
  reconstructions.png  the first 100 images, each with its reconstruction below

An IMAGE is a grey PNG, or an .npy file of one image [H, W] or of many [N, H, W], uint8 or floats in
[0, 1]; of a folder, all that are in it. They are as those that the models were trained on: of the
same size, and as MNIST's digits light on dark. What cannot be used is said, file by file, and the
rest goes on; the exit status is 1 then."""


class Found(NamedTuple):
    """An image [H, W] in [0, 1], and its place in its file."""

    path: Path
    place: int
    pixels: np.ndarray


class Batch(NamedTuple):
    """Images x [N, H, W], and what the models make of each.

    `answers` are its class and that one's probability, or nothing without a classifier.
    """

    found: list[Found]
    x: np.ndarray
    answers: list[tuple[int, float]] | list[tuple[()]]
    z: np.ndarray
    x_hat: np.ndarray


class Images:
    """The images of all files, one after the other.

    A file that cannot be used is said and counted. `total` is how many images there are, if each
    file that was not opened yet has one.
    """

    def __init__(self, files: list[Path], shape: tuple[int, ...]):
        self.files, self.shape = files, shape
        self.total, self.faults = len(files), 0

    def __iter__(self) -> Iterator[Found]:
        for path in self.files:
            try:
                stack = read(path, self.shape)
            except UserError as error:
                say(f"predict: {error}")
                self.faults += 1
                stack = np.empty((0, *self.shape))
            self.total += len(stack) - 1
            white = 255 if stack.dtype == np.uint8 else 1
            for place, image in enumerate(stack):
                yield Found(path, place, image.astype(np.float32) / white)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m latent_digits.commands.predict",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "images", metavar="IMAGE", type=Path, nargs="+", help=".png, .npy, or a folder of them"
    )
    parser.add_argument("--out", type=Path, default=Path("predicted"), help="predicted/ by default")
    arguments = parser.parse_args()
    val, out = validation_set(), arguments.out
    autoencoder, about = trained_model("ae", val)
    classifier = trained_model("classifier", val)[0] if val.classes else None
    images = Images(listed(arguments.images), val.images.shape[1:])
    usual = border(val.images).mean() / 255
    number, inverted = 0, []
    with (
        ProgressDisplay("predict", "image") as progress,
        atomic(out / "predictions.csv") as table,
        table.open("w", newline="", encoding="utf-8") as file,
        growing(out / "latents.npy", (about["latent_dim"],)) as add_latents,
        growing(out / "reconstructions.npy", images.shape) as add_reconstructions,
        atomic(out / "reconstructions.png") as picture,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("file", "image", *(("label", "probability") if classifier else ())))
        for batch in predictions(images, autoencoder, classifier):
            for one, answer in zip(batch.found, batch.answers, strict=True):
                told = (val.classes[answer[0]], answer[1]) if answer else ()
                rows.writerow((one.path, one.place, *told))
            add_latents(batch.z)
            add_reconstructions(batch.x_hat)
            if not number:
                sheet(batch.x[:SHOWN], batch.x_hat[:SHOWN]).save(picture, "PNG")
            edges = zip(batch.found, border(batch.x), strict=True)
            inverted += [one.path for one, edge in edges if abs(edge - usual) > INVERTED]
            number += len(batch.found)
            progress.advance("images", number, images.total, f"{batch.found[-1].path}")
        if not number:
            raise UserError("there is no image that can be used; nothing was written.")
    if inverted:
        say(
            f"predict: {len(inverted)} of {number} images look inverted, as {inverted[0]} does: "
            f"their borders are {'dark' if usual > INVERTED else 'bright'}, unlike those of the "
            "images that the models were trained on; give 255 minus each pixel then."
        )
    say(f"predict: {number} images; see {out}/predictions.csv, and what lies beside it.")
    if images.faults:
        raise UserError(
            f"{images.faults} of {len(images.files)} files could not be used, as said above."
        )


def listed(paths: list[Path]) -> list[Path]:
    """Files as they are, and of folders the images; a path without any is left for `read`."""
    found = ([one for one in files_of(path) if one.suffix.lower() in READERS] for path in paths)
    return [one for path, files in zip(paths, found, strict=True) for one in files or [path]]


def read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The images of a file, [N, *shape], uint8 or floats in [0, 1]; those of .npy stay on the disk.

    Raises UserError where it holds anything else.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder without .png and .npy files.")
    if path.suffix.lower() not in READERS:
        raise UserError(f"{path} is no image; expected .png or .npy.")
    try:
        stack = READERS[path.suffix.lower()](path)
    except UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path} cannot be read ({reason}).") from None
    if stack.shape[1:] != shape:
        found, expected = (" × ".join(map(str, one)) for one in (stack.shape[1:], shape))
        raise UserError(f"{path} has {found} pixels; the models take {expected}.")
    return stack


def read_png(path: Path) -> np.ndarray:
    """One image, uint8 [1, H, W]."""
    with Image.open(path, formats=["PNG"]) as file:
        if file.mode not in ("L", "1"):
            raise UserError(
                f"{path} is in colour, or has another depth than 8 bits ({file.mode}); convert it "
                "to 8 bits of grey."
            )
        return np.asarray(file.convert("L"))[None]


def read_npy(path: Path) -> np.ndarray:
    """Images [N, H, W], or a single one [H, W] as [1, H, W]; without pickle."""
    stack = np.lib.format.open_memmap(path, mode="r")
    if stack.ndim not in (2, 3):
        raise UserError(
            f"{path} has {stack.ndim} axes; expected [H, W], or [N, H, W] for many images."
        )
    is_float = np.issubdtype(stack.dtype, np.floating)
    within = is_float and (not stack.size or (stack.min() >= 0 and stack.max() <= 1))
    if stack.dtype != np.uint8 and not within:
        span = f" from {stack.min():g} to {stack.max():g}" if is_float else ""
        raise UserError(f"{path} has {stack.dtype}{span}; expected uint8, or floats in [0, 1].")
    return stack if stack.ndim == 3 else stack[None]


READERS: dict[str, Callable[[Path], np.ndarray]] = {".png": read_png, ".npy": read_npy}


@torch.no_grad()
def predictions(
    images: Iterable[Found], autoencoder: nn.Module, classifier: nn.Module | None
) -> Iterator[Batch]:
    """Batch by batch, what the models make of the images."""
    waiting = iter(images)
    while found := list(islice(waiting, EVAL_BATCH)):
        x = np.stack([one.pixels for one in found])
        inputs = torch.from_numpy(x)[:, None]
        z = autoencoder.get_submodule("encoder")(inputs)
        x_hat = autoencoder.get_submodule("decoder")(z)[:, 0]
        answers: Any = [()] * len(found)
        if classifier:
            probability, label = classifier(inputs).softmax(1).max(1)
            answers = list(zip(label.tolist(), probability.tolist(), strict=True))
        yield Batch(found, x, answers, z.numpy(), x_hat.numpy())


def border(images: np.ndarray) -> np.ndarray:
    """The mean brightness of the outermost pixels of images [N, H, W], [N]."""
    outermost = np.ones(images.shape[1:], bool)
    outermost[1:-1, 1:-1] = False
    return images[:, outermost].mean(axis=1)


@contextmanager
def growing(path: Path, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends rows of this shape, as float32, to the .npy file that is written.

    Its header is written twice: NumPy leaves room there for however many rows.
    """
    count = 0
    with atomic(path) as draft, draft.open("wb") as file:

        def write_header() -> None:
            about = {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)}
            np.lib.format.write_array_header_1_0(file, about)

        def append(rows: np.ndarray) -> None:
            nonlocal count
            count += len(rows)
            file.write(rows.astype("<f4").tobytes())

        write_header()
        yield append
        file.seek(0)
        write_header()


def sheet(x: np.ndarray, x_hat: np.ndarray) -> Image.Image:
    """Images [N, H, W] in [0, 1] in rows, each with its reconstruction below."""
    pairs = np.concatenate([x, x_hat], axis=1)
    empty = np.zeros((-len(pairs) % ACROSS, *pairs.shape[1:]), pairs.dtype)
    rows = np.concatenate([pairs, empty]).reshape(-1, ACROSS, *pairs.shape[1:]).swapaxes(1, 2)
    grey = (rows * 255).round().astype(np.uint8)
    return Image.fromarray(grey.reshape(-1, ACROSS * pairs.shape[2]))


if __name__ == "__main__":
    run_stage(main)

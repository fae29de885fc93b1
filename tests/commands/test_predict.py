"""Predictions of files: as the models answer, whatever lies between the images."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from latent_digits.commands import predict
from latent_digits.console import UserError
from untrained import CLASSES, write_models


class Study(NamedTuple):
    """Where the models are, and images as they are stored."""

    models: dict[str, Any]
    images: np.ndarray


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return Study(*write_models(tmp_path))


def run(*arguments: str) -> list[dict[str, str]]:
    """The table that the command writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["predict", *arguments])
        predict.main()
    return table()


def table() -> list[dict[str, str]]:
    with Path("predicted/predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def png(path: str, image: np.ndarray) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def npy(path: str, array: np.ndarray) -> str:
    np.save(path, array)
    return path


@torch.no_grad()
def test_the_answers_are_those_of_the_models_in_the_order_of_the_files(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "EVAL_BATCH", 2)  # a file's images are in several, and the reverse
    first = png("in/a.png", study.images[0])
    png("in/deeper/b.PNG", study.images[1])
    npy("in/c.npy", study.images[2:5])
    Path("in/notes.txt").write_text("no image")
    last = npy("last.npy", (study.images[5] / 255).astype(np.float64))
    rows = run("in", last)
    assert [(row["file"], row["image"]) for row in rows] == [
        (first, "0"),
        *(("in/c.npy", place) for place in "012"),
        ("in/deeper/b.PNG", "0"),
        (last, "0"),
    ]
    x = torch.from_numpy(study.images[[0, 2, 3, 4, 1, 5]])[:, None] / 255
    probability, label = study.models["classifier"](x).softmax(1).max(1)
    assert [row["label"] for row in rows] == [CLASSES[one] for one in label]
    found = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(found, probability.numpy(), rtol=1e-5)
    z = study.models["ae"].encoder(x)
    np.testing.assert_allclose(np.load("predicted/latents.npy"), z.numpy(), atol=1e-5)
    x_hat = study.models["ae"].decoder(z)[:, 0].numpy()
    np.testing.assert_allclose(np.load("predicted/reconstructions.npy"), x_hat, atol=1e-5)


def test_the_sheet_has_each_image_above_its_reconstruction(study: Study) -> None:
    run(npy("many.npy", np.repeat(study.images, 5, axis=0)))
    sheet = np.asarray(Image.open("predicted/reconstructions.png"))
    assert sheet.shape == (2 * 56, 20 * 28)  # 30 images in two rows
    np.testing.assert_array_equal(sheet[:28, 5 * 28 : 6 * 28], study.images[1])
    x_hat = np.load("predicted/reconstructions.npy")[25]
    np.testing.assert_array_equal(sheet[56 + 28 :, 5 * 28 : 6 * 28], (x_hat * 255).round())
    assert not sheet[56:, 10 * 28 :].any()


def test_black_and_white_is_grey(study: Study) -> None:
    image = study.images[0] > 127
    run(png("a.png", image))
    found = np.load("predicted/latents.npy")
    run(png("b.png", image.astype(np.uint8) * 255))
    np.testing.assert_array_equal(np.load("predicted/latents.npy"), found)


FAULTS: dict[str, tuple[Callable[[np.ndarray], object], str]] = {
    "large.png": (
        lambda image: Image.fromarray(image).resize((32, 30)).save("bad/large.png"),
        "has 30 × 32 pixels; the models take 28 × 28.",
    ),
    "colour.png": (
        lambda image: Image.fromarray(image).convert("RGB").save("bad/colour.png"),
        "is in colour, or has another depth than 8 bits (RGB); convert it to 8 bits of grey.",
    ),
    "deep.png": (
        lambda image: Image.fromarray(image.astype(np.uint16)).save("bad/deep.png"),
        "is in colour, or has another depth than 8 bits (I;16); convert it to 8 bits of grey.",
    ),
    "cut.png": (
        lambda image: Path("bad/cut.png").write_bytes(Path("good.png").read_bytes()[:200]),
        "cannot be read (image file is truncated).",
    ),
    "text.png": (
        lambda image: Path("bad/text.png").write_text("no image"),
        "cannot be read (cannot identify image file 'bad/text.png').",
    ),
    "empty.npy": (
        lambda image: Path("bad/empty.npy").touch(),
        "cannot be read (EOF: reading magic string, expected 8 bytes got 0).",
    ),
    "pickle.npy": (
        lambda image: np.save("bad/pickle.npy", np.array([{}]), allow_pickle=True),
        "cannot be read (Array can't be memory-mapped: Python objects in dtype.).",
    ),
    "channels.npy": (
        lambda image: np.save("bad/channels.npy", image[None, None]),
        "has 4 axes; expected [H, W], or [N, H, W] for many images.",
    ),
    "whole.npy": (
        lambda image: np.save("bad/whole.npy", image.astype(int)),
        "has int64; expected uint8, or floats in [0, 1].",
    ),
    "range.npy": (
        lambda image: np.save("bad/range.npy", image * 1.0),
        "has float64 from 0 to 255; expected uint8, or floats in [0, 1].",
    ),
    "nan.npy": (
        lambda image: np.save("bad/nan.npy", np.full((28, 28), np.nan)),
        "has float64 from nan to nan; expected uint8, or floats in [0, 1].",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_used_is_said_and_the_rest_goes_on(
    study: Study, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    png("good.png", study.images[0])
    Path("bad").mkdir()
    write, sentence = FAULTS[name]
    write(study.images[0])
    with pytest.raises(UserError, match=r"^1 of 2 files could not be used, as said above\.$"):
        run("bad", "good.png")
    assert f"predict: bad/{name} {sentence}\n" in capsys.readouterr().err
    assert [row["file"] for row in table()] == ["good.png"]


def test_a_path_without_images_is_a_fault_and_nothing_is_written(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    run(png("good.png", study.images[0]))
    before = {path: path.read_bytes() for path in Path("predicted").iterdir()}
    Path("folder").mkdir()
    Path("notes.txt").touch()
    with pytest.raises(UserError, match="no image that can be used; nothing was written"):
        run("folder", "notes.txt", "nowhere.png")
    said = capsys.readouterr().err
    assert "predict: folder is a folder without .png and .npy files.\n" in said
    assert "predict: notes.txt is no image; expected .png or .npy.\n" in said
    assert "predict: nowhere.png cannot be read (No such file or directory).\n" in said
    assert {path: path.read_bytes() for path in Path("predicted").iterdir()} == before


def test_inverted_images_get_a_hint(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    run(npy("as_trained.npy", study.images))
    assert "inverted" not in capsys.readouterr().err
    run(npy("a.npy", study.images[:4]), png("b.png", 255 - study.images[4]))
    said = capsys.readouterr().err
    assert "predict: 1 of 5 images look inverted, as b.png does: their borders are bright" in said


def test_a_missing_model_names_its_stage(study: Study) -> None:
    Path("data/models/classifier.safetensors").unlink()
    with pytest.raises(UserError, match="is missing; `dvc repro finetune` trains it, `dvc checkou"):
        run("a.png")

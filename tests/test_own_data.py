"""The eight stages on made-up data sets: words for classes in one, no labels in the other."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latent_digits.commands.verify import environment
from latent_digits.data.storage import read_csv, read_tensors
from smoke import scratch_copy

ALL = """
import runpy
for stage in "prepare tune train_ae train_denoise train_vae finetune evaluate plot".split():
    runpy.run_path(f"stages/{stage}.py", run_name="__main__")
"""
SIDE = 16  # of which the third convolution is given an even side
SHORT = {"epochs": 2, "batch_size": 16}
SMALL: dict[str, Any] = {
    "prepare": {"dataset": "data/own/leaves", "train": 150, "val": 60, "test": 60},
    "tune": {"trials": 0, "report_hyperparameters": {"latent_dim": 5, "batch_size": 16}},
    "train_ae": {"ae": {"epochs": 2}, "ae_2d": SHORT, "latent_dims": [3]},
    "train_denoise": {"epochs": 2},
    "train_vae": {"beta": 2.0, "vae": SHORT, "vae_2d": SHORT},
    "finetune": {"hidden": 8, "head": SHORT, "end_to_end": SHORT, "labels": [100]},
    "evaluate": {"bootstrap_resamples": 100, "paths": 20, "denoised_images": 20},
    "plot": {"dpi": 50},
}
CLASSES = ("elm leaf", "oak leaf", "weeping willow")
UNLABELLED = (
    "classifier",
    "accuracy",
    "knn",
    "zero_to_nine",
    "labels",
    "davies_bouldin",
    "confusion",
)


def study(folder: Path, places: tuple[str, ...], **widths: Any) -> Path:
    """All stages on 90 images in each of the places: stripes, of another width in each."""
    hparams = SMALL["tune"]["report_hyperparameters"] | widths
    scratch_copy(folder, SMALL | {"tune": {"trials": 0, "report_hyperparameters": hparams}})
    rng = np.random.default_rng(0)
    for width, place in enumerate(places, 1):
        target = folder / "data/own/leaves" / place
        target.mkdir(parents=True)
        for number in range(270 // len(places)):
            stripes = (np.arange(SIDE) + number) // width % 2 * rng.integers(100, 256)
            image = np.repeat(stripes[None], SIDE, axis=0).astype(np.uint8)
            Image.fromarray(image).save(target / f"{number}.png")
    done = subprocess.run(
        [sys.executable, "-c", ALL],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("leaves"), CLASSES, channels=[4, 6, 8], units=24)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("pile"), ("",))


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / "reports" / f"{name}.json").read_text())


def test_models_follow_from_data_and_parameters(labelled: Path) -> None:
    for path in (labelled / "data/models").rglob("*.safetensors"):
        _, about = read_tensors(path)
        assert (about["size"], about["channels"], about["units"]) == (SIDE, [4, 6, 8], 24)
        assert about["class_names"] == [*CLASSES]
    weights, about = read_tensors(labelled / "data/models/classifier.safetensors")
    assert about["classes"] == len(weights["head.2.bias"]) == 3


def test_all_is_measured_but_what_is_of_digits(labelled: Path) -> None:
    assert {"accuracy_pct", "ae_mse_e3", "davies_bouldin"} <= set(read(labelled, "metrics"))
    claims = read(labelled, "claims")
    assert {"knn/ae", "labels/100/gain", "denoising/all/1/denoiser/accuracy"} <= set(claims)
    assert not [name for name in claims if name.startswith("zero_to_nine")]
    arrays, facts = read_tensors(labelled / "data/arrays.safetensors")
    assert facts["data"] == {"name": "leaves", "classes": [*CLASSES], "size": SIDE}
    assert facts["path"] == {"from": "elm leaf", "to": "weeping willow"}
    assert arrays["classifier.confusion"].shape == (3, 3)


def test_without_labels_all_is_measured_that_needs_none(unlabelled: Path) -> None:
    metrics, claims = read(unlabelled, "metrics"), read(unlabelled, "claims")
    assert {"ae_mse_e3", "vae_loss", "denoiser_mse_e3"} <= set(metrics)
    assert {"mse/pca/4", "sharpness/vae - ae", "denoising/all/1/denoiser/mse"} <= set(claims)
    arrays, facts = read_tensors(unlabelled / "data/arrays.safetensors")
    for name in (*metrics, *claims, *read(unlabelled, "evaluation"), *arrays):
        assert not any(word in name for word in UNLABELLED), name
    assert facts["data"]["classes"] == []
    assert read_csv(unlabelled / "reports/histories/classifier.csv") == []
    tensors, about = read_tensors(unlabelled / "data/models/labels/pretrained_100.safetensors")
    assert (tensors, about["model"]) == ({}, "none")


def test_the_report_speaks_of_the_data_set_alone(labelled: Path, unlabelled: Path) -> None:
    for folder in (labelled, unlabelled):
        for form in ("md", "html"):
            text = (folder / f"reports/report.{form}").read_text()
            assert "leaves" in text
            assert not re.findall(r"MNIST|(?<![-_])\b[Dd]igits?\b|Manzali", text)
        assert (folder / "reports/report.pdf").read_bytes().startswith(b"%PDF")
    words = (labelled / "reports/report.md").read_text()
    assert "weeping willow" in words
    assert "no labels" not in words
    assert "no labels" in (unlabelled / "reports/report.md").read_text()
    assert not (unlabelled / "reports/figures/confusion.png").exists()

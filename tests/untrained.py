"""Untrained models where a study's trained ones lie, for commands that use them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from latent_digits.data.dataset import Dataset, save_dataset
from latent_digits.models.architecture import Architecture
from latent_digits.models.weights import arrays_of, build, save_model
from smoke import PROJECT

COMMON = {"latent_dim": 3, **asdict(Architecture(28, (4, 6, 8), 10))}
CLASSES = ("oak", "elm", "ash")
ABOUT: dict[str, dict[str, Any]] = {
    "ae": {"model": "autoencoder", **COMMON},
    "denoiser": {"model": "autoencoder", **COMMON},
    "vae": {"model": "variational_autoencoder", **COMMON},
    "classifier": {"model": "classifier", "hidden": 5, "classes": len(CLASSES), **COMMON},
}


def write_models(folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Models by name, in plain PyTorch and eval mode, and the validation images; both in `folder`.

    The images are noise with a dark border.
    """
    (folder / "dvc.yaml").write_bytes((PROJECT / "dvc.yaml").read_bytes())
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    images[:, [0, -1]] = images[:, :, [0, -1]] = 0
    val = Dataset(images, np.arange(6) % 3, np.arange(6), "digest of the split", "leaves", CLASSES)
    save_dataset(folder / "data/split/val.safetensors", val)
    models: dict[str, nn.Module] = {}
    for seed, (name, about) in enumerate(ABOUT.items()):
        torch.manual_seed(seed)
        models[name] = build(about).eval()
        path = folder / f"data/models/{name}.safetensors"
        save_model(path, arrays_of(models[name]), about, val)
    return models, images

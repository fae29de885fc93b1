"""Untrained models where a study's trained ones lie, for commands that use them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from latent_digits.data.dataset import Dataset, save_dataset
from latent_digits.models.weights import arrays_of, build, save_model
from smoke import PROJECT

ABOUT: dict[str, dict[str, Any]] = {
    "ae": {"model": "autoencoder", "latent_dim": 3},
    "denoiser": {"model": "autoencoder", "latent_dim": 3},
    "vae": {"model": "variational_autoencoder", "latent_dim": 3},
    "classifier": {"model": "classifier", "latent_dim": 3, "hidden": 5},
}


def write_models(folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Models by name, in plain PyTorch and eval mode, and the validation images; both in `folder`.

    The images are noise with a dark border.
    """
    (folder / "dvc.yaml").write_bytes((PROJECT / "dvc.yaml").read_bytes())
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    images[:, [0, -1]] = images[:, :, [0, -1]] = 0
    val = Dataset(images, np.arange(6), np.arange(6), "digest of the split")
    save_dataset(folder / "data/split/val.safetensors", val)
    models: dict[str, nn.Module] = {}
    for seed, (name, about) in enumerate(ABOUT.items()):
        torch.manual_seed(seed)
        models[name] = build(about).eval()
        path = folder / f"data/models/{name}.safetensors"
        save_model(path, arrays_of(models[name]), about, val)
    return models, images

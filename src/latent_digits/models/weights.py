"""Trained models as safetensors files: weights, and what is needed to build the model again."""

from pathlib import Path

import torch
from torch import nn

from latent_digits import engine
from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset, require_same_split
from latent_digits.data.storage import Arrays, Row, read_tensors, write_tensors
from latent_digits.models.architecture import Architecture
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
)


def build(about: Row) -> nn.Module:
    """The untrained model that `about` describes, without dropout: for evaluation only."""
    latent_dim = about["latent_dim"]
    architecture = Architecture(about["size"], tuple(about["channels"]), about["units"])
    match about["model"]:
        case "autoencoder":
            return Autoencoder(latent_dim, 0.0, architecture)
        case "variational_autoencoder":
            return VariationalAutoencoder(latent_dim, architecture)
        case "classifier":
            encoder = Encoder(latent_dim, 0.0, architecture)
            return Classifier(encoder, Head(latent_dim, about["hidden"], about["classes"]))
        case unknown:
            raise KeyError(f"model {unknown!r} is not known")


def arrays_of(model: nn.Module) -> Arrays:
    """The model's weights by name, on the CPU, copied."""
    return {name: value.cpu().numpy().copy() for name, value in model.state_dict().items()}


def save_model(path: Path, weights: Arrays, about: Row, dataset: Dataset) -> None:
    """Write `weights` of the model that `about` describes, trained on the split of `dataset`."""
    of_data = {"split": dataset.digest, "class_names": dataset.classes}
    write_tensors(path, weights, about | of_data)


def load_model(path: Path, dataset: Dataset) -> tuple[nn.Module, Row]:
    """The trained model at `path`, in eval mode, and its description.

    Raises UserError when the file is missing, unreadable, no model, or of another data set.
    """
    tensors, about = read_tensors(path)
    require_same_split(path, about, dataset)
    try:
        model = build(about)
        model.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    except (KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{path} does not hold the weights that it describes ({reason}); delete it, and "
            "`dvc repro` trains it again."
        ) from None
    return engine.accelerate(model).eval(), about


def load_encoder(path: Path, dataset: Dataset) -> Arrays:
    """The weights of the encoder in the autoencoder at `path`, by their names in `Encoder`."""
    model, about = load_model(path, dataset)
    if not isinstance(model, Autoencoder):
        raise UserError(f"{path} holds no autoencoder but a {about['model']}; run `dvc repro`.")
    return arrays_of(model.get_submodule("encoder"))

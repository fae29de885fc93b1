"""The study's trained models, for the commands that carry or use them."""

from pathlib import Path

from torch import nn

from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset, load_dataset
from latent_digits.data.storage import Row
from latent_digits.models.weights import load_model
from latent_digits.project.provenance import read_study


def validation_set() -> Dataset:
    """Images such as the models were trained on; their split is what all models must be of."""
    return load_dataset(Path("data/split/val.safetensors"))


def path_of(name: str) -> Path:
    return Path(f"data/models/{name}.safetensors")


def trained_model(name: str, dataset: Dataset) -> tuple[nn.Module, Row]:
    """A model of the catalogue as `load_model` gives it; a missing one names its stage."""
    path = path_of(name)
    if not path.exists():
        stage = read_study(Path.cwd()).makers[f"{path}"]
        raise UserError(
            f"{path} is missing; `dvc repro {stage}` trains it, `dvc checkout` restores it."
        )
    return load_model(path, dataset)

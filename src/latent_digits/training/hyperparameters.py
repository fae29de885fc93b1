"""Hyperparameters: what the search chooses, complete, in the file that every later stage reads."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset, require_same_split
from latent_digits.data.storage import Row, read_json, write_json


@dataclass(frozen=True)
class Hyperparameters:
    """Z, and how to train: the five hyperparameters of the original report's table 1."""

    latent_dim: int
    optimizer: str
    lr: float
    batch_size: int
    dropout: float


def save_hyperparameters(
    path: Path, hparams: Hyperparameters, found: Row, dataset: Dataset
) -> None:
    """Write `hparams` with how they were `found` and on which split."""
    write_json(path, {**asdict(hparams), **found, "split": dataset.digest})


def load_hyperparameters(path: Path, dataset: Dataset) -> Hyperparameters:
    """The hyperparameters at `path`. Raises UserError when incomplete or of another data set."""
    found = read_json(path)
    missing = {field.name for field in fields(Hyperparameters)} - set(found)
    if missing:
        raise UserError(f"{path} lacks {', '.join(sorted(missing))}; run `dvc repro tune`.")
    require_same_split(path, found, dataset)
    return Hyperparameters(**{field.name: found[field.name] for field in fields(Hyperparameters)})

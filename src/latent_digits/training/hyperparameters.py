"""Hyperparameters: what the search chooses, complete, in the file that every later stage reads."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset, require_same_split
from latent_digits.data.storage import Row, read_json, write_json
from latent_digits.models.architecture import REPORTS


@dataclass(frozen=True)
class Hyperparameters:
    """Z, how to train, and the widths of layers.

    The first five are the original report's, its table 1; channels are those of the three
    convolutions, units those of the linear layer before the latents.
    """

    latent_dim: int
    optimizer: str
    lr: float
    batch_size: int
    dropout: float
    channels: tuple[int, int, int] = REPORTS.channels
    units: int = REPORTS.units


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
    values: Row = {field.name: found[field.name] for field in fields(Hyperparameters)}
    values["channels"] = tuple(values["channels"])
    return Hyperparameters(**values)

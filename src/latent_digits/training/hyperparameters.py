"""A design: what the search chooses, complete, in the file that every later stage reads."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from latent_digits.console import UserError
from latent_digits.data.dataset import Dataset, require_same_split
from latent_digits.data.storage import Row, read_json, write_json


@dataclass(frozen=True)
class Design:
    """Z, and how to train: the five hyperparameters of the report's table 1."""

    latent_dim: int
    optimizer: str
    lr: float
    batch_size: int
    dropout: float


def save_design(path: Path, design: Design, found: Row, dataset: Dataset) -> None:
    """Write `design` with how it was `found` and the split that it was found on."""
    write_json(path, {**asdict(design), **found, "split": dataset.digest})


def load_design(path: Path, dataset: Dataset) -> Design:
    """The design at `path`. Raises UserError when it is incomplete or of another data set."""
    found = read_json(path)
    missing = {field.name for field in fields(Design)} - set(found)
    if missing:
        raise UserError(f"{path} lacks {', '.join(sorted(missing))}; run `dvc repro tune`.")
    require_same_split(path, found, dataset)
    return Design(**{field.name: found[field.name] for field in fields(Design)})

"""A real registry of MLflow with untrained models, for tests that load, serve or show them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from latent_digits.data.dataset import Dataset, save_dataset
from latent_digits.data.storage import write_csv
from latent_digits.models.weights import arrays_of, build, save_model
from latent_digits.preparation.collection import DIGITS
from latent_digits.tracking.addresses import sqlite_address
from latent_digits.tracking.stage_run import stage_run
from studies import BUILT

PIPELINE = """
stages:
  finetune:
    cmd: python stages/finetune.py
    deps: [data/split/val.safetensors]
    outs:
      - data/models/ae.safetensors
      - data/models/vae.safetensors
      - data/models/classifier.safetensors
      - data/models/classifier_random_encoder.safetensors
"""
ABOUT: dict[str, dict[str, Any]] = {
    "ae": {"model": "autoencoder", "latent_dim": 3, **BUILT},
    "vae": {"model": "variational_autoencoder", "latent_dim": 3, **BUILT},
    "classifier": {"model": "classifier", "latent_dim": 3, "hidden": 5, **BUILT},
    "classifier_random_encoder": {"model": "classifier", "latent_dim": 3, "hidden": 5, **BUILT},
}


class Registry:
    """A project whose stage writes four untrained models and logs them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.address = sqlite_address(folder / "mlflow.db")
        (folder / "dvc.yaml").write_text(PIPELINE)
        self.networks: dict[str, Any] = {}

    def train(self, seed: int, val_loss: float, data_seed: int = 0) -> None:
        """Log models of initial weights by `seed`, as if they had reached `val_loss`."""
        numbers = np.random.default_rng(data_seed)
        self.images = numbers.integers(0, 256, (6, 28, 28), dtype=np.uint8)
        val = Dataset(
            self.images, np.arange(6), np.arange(6), f"split {data_seed}", "made up", DIGITS
        )
        save_dataset(Path("data/split/val.safetensors"), val)
        with stage_run("finetune", {"seed": seed}) as run:
            for name, about in ABOUT.items():
                torch.manual_seed(seed)
                self.networks[name] = build(about).eval()
                weights = Path(f"data/models/{name}.safetensors")
                save_model(weights, arrays_of(self.networks[name]), about, val)
                history = Path(f"reports/histories/{name}.csv")
                write_csv(history, ["epoch", "val_loss"], [{"epoch": 1, "val_loss": val_loss}])
                run.model(weights)
                run.files(history)

    def expected(self, name: str) -> np.ndarray:
        """What the project itself makes of the images."""
        from latent_digits.evaluation.measures import reconstructions

        images = torch.tensor(self.images)[:, None]
        if name == "classifier":
            with torch.no_grad():
                return self.networks[name](images / 255).numpy()
        return reconstructions(self.networks[name], images)

    def champion(self, name: str) -> tuple[int, int]:
        """The champion's version, and how many versions there are."""
        from mlflow import MlflowClient

        client, model = MlflowClient(self.address), f"latent-digits-{name}"
        versions = client.search_model_versions(f"name = '{model}'")
        return int(client.get_model_version_by_alias(model, "champion").version), len(versions)

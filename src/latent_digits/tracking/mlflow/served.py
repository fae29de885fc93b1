"""What MLflow loads when it serves a model: this file as code, and the weights as safetensors.

Images uint8 [N, S, S] in. Out come a classifier's logits [N, K], or an autoencoder's
reconstructions [N, S, S] in (0, 1); a variational one decodes the mean.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from torch import Tensor, nn

from latent_digits import engine
from latent_digits.data.storage import read_tensors
from latent_digits.models.networks import VariationalAutoencoder
from latent_digits.models.objectives import Values, measure
from latent_digits.models.weights import build


class Served(PythonModel):
    """A trained model behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        tensors, about = read_tensors(Path(context.artifacts["weights"]))
        self.model = engine.accelerate(build(about)).eval()
        self.model.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()})
        *_, behind = self.model.children()  # decoder or head
        with torch.no_grad():  # compiles what any part needs, 15 s: now rather than when asked
            behind(torch.zeros(1, about["latent_dim"]))

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> Any:
        images = torch.tensor(model_input)[:, None]
        y = measure(self.model, answer, images, images, seed=0)["y"].numpy()
        return y[:, 0] if y.ndim == 4 else y


def answer(model: nn.Module, x: Tensor, _: Tensor) -> Values:
    if isinstance(model, VariationalAutoencoder):
        return {"y": model.decoder(model.encode(x)[0])}
    return {"y": model(x)}


set_model(Served())

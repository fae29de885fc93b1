"""Pythae's trainer on the study's VAE: Chadebec et al. 2022, "Pythae: unifying generative
autoencoders in Python". Its squared error is halved; the work of a step is the same.
"""

import tempfile
import time

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor

from latent_digits.models import networks
from peers import BATCH, LATENT_DIM, LR, pixels


class Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.vae = networks.VariationalAutoencoder(LATENT_DIM)
        del self.vae.decoder

    def forward(self, x: Tensor) -> ModelOutput:
        mu, log_var = self.vae.encode(x)
        return ModelOutput(embedding=mu, log_covariance=log_var)


class Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = networks.Decoder(LATENT_DIM, dropout=0.0)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


class Pythae:
    def __init__(self, train: Tensor, val: Tensor):
        self.folder = tempfile.TemporaryDirectory()
        config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT_DIM, reconstruction_loss="mse")
        settings = BaseTrainerConfig(
            output_dir=self.folder.name,
            per_device_train_batch_size=BATCH["vae"],
            per_device_eval_batch_size=BATCH["vae"],
            learning_rate=LR,
            no_cuda=True,
        )
        sets = [BaseDataset(pixels(images), torch.zeros(len(images))) for images in (train, val)]
        model = VAE(model_config=config, encoder=Encoder(), decoder=Decoder())
        self.trainer = BaseTrainer(model, *sets, training_config=settings)
        self.trainer.prepare_training()
        self.epochs = 0

    def epoch(self) -> dict[str, float]:
        self.epochs += 1
        began = time.perf_counter()
        self.trainer.train_step(self.epochs)
        trained = time.perf_counter()
        self.trainer.eval_step(self.epochs)
        return {"train": trained - began, "val": time.perf_counter() - trained}

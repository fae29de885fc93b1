"""The original report's way: Lightning's Trainer, one image at a time through a `DataLoader`."""

import logging
import time
import warnings
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from peers import BATCH, LR, loss_of, noisy, pixels, plain_model

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class Images(Dataset):
    """(input, target) of one image."""

    def __init__(self, images: Tensor, kind: str):
        self.images, self.kind = images, kind

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = pixels(self.images[index])
        return noisy(x) if self.kind == "denoiser" else x, x


class Module(lightning.LightningModule):
    def __init__(self, kind: str):
        super().__init__()
        self.kind, self.model = kind, plain_model(kind)
        self.seconds: dict[str, float] = {}

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = loss_of(self.model, *batch)
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("val_loss", loss_of(self.model, *batch), on_epoch=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LR)

    def on_train_epoch_start(self) -> None:
        self.started = time.perf_counter()

    def on_validation_start(self) -> None:
        self.validating = time.perf_counter()

    def on_validation_end(self) -> None:
        now = time.perf_counter()
        self.seconds = {"train": self.validating - self.started, "val": now - self.validating}


class Seed:
    """Epochs of the Trainer; its set-up is not counted."""

    def __init__(self, kind: str, train: Tensor, val: Tensor):
        self.module = Module(kind)
        batch = BATCH[kind]
        self.loaders: list[Any] = [
            DataLoader(Images(train, kind), batch_size=batch, shuffle=True),
            DataLoader(Images(val, kind), batch_size=batch),
        ]

    def epoch(self) -> dict[str, float]:
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(self.module, *self.loaders)
        return self.module.seconds

"""The two sets that trainings may see, as one piece to send to a worker."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latent_digits.data.dataset import Dataset
from latent_digits.training import ranks


@dataclass(frozen=True)
class TrainingData:
    """Images uint8 [N, S, S] and labels int64 [N] of the two sets that trainings may see."""

    train_images: np.ndarray
    train_labels: np.ndarray
    val_images: np.ndarray
    val_labels: np.ndarray


def training_data_of(train: Dataset, val: Dataset) -> TrainingData:
    return TrainingData(train.images, train.labels, val.images, val.labels)


def images_of(data: TrainingData) -> tuple[Tensor, Tensor]:
    """Train and validation images, uint8 [N, 1, S, S], on the device that trains."""
    return to_device(data.train_images[:, None]), to_device(data.val_images[:, None])


def labels_of(data: TrainingData) -> tuple[Tensor, Tensor]:
    return to_device(data.train_labels), to_device(data.val_labels)


def to_device(array: np.ndarray) -> Tensor:
    """The whole array where it is needed, a GPU if there is one: no batch is ever copied there."""
    return torch.tensor(array, device=ranks.current().device)


def brightness(data: TrainingData) -> float:
    """The mean of the training images' pixels, in [0, 1]."""
    return float(data.train_images.mean(dtype=np.float64)) / 255

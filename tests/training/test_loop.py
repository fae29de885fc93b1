"""`fit`: it learns, repeats, stops, keeps the best weights, and says when it diverges."""

import math
from collections import OrderedDict
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from latent_digits import engine
from latent_digits.models.networks import Autoencoder
from latent_digits.models.objectives import measure, reconstruction
from latent_digits.seeds import seed_for
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.initialization import initialised
from latent_digits.training.loop import (
    DivergedError,
    EpochMetrics,
    Pairs,
    Recipe,
    best_row,
    fit,
    over,
)


def pairs(count: int, seed: int) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)
    return Pairs(images, images)


def run(
    epochs: int = 3,
    patience: int = 9,
    lr: float = 1e-3,
    optimizer: str = "adam",
    warmup: int = 200,
    **options,
):
    model = initialised(1, lambda: Autoencoder(4, 0.1), 0.5)
    recipe = Recipe(optimizer, lr, 16, epochs, patience, warmup)
    history = fit(model, reconstruction, pairs(64, 0), pairs(32, 1), recipe, 1, **options)
    return model, history


def test_the_loss_falls() -> None:
    _, history = run(epochs=4, warmup=4)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_the_same_seed_gives_the_same_bits() -> None:
    (one, first), (other, second) = run(), run()
    assert first == second
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_epochs_draws_do_not_depend_on_what_was_drawn_before() -> None:
    _, plain = run()
    _, disturbed = run(on_epoch=lambda checkpoint: torch.rand(7))
    assert plain == disturbed


def test_the_best_weights_are_kept() -> None:
    model, history = run(epochs=6, lr=0.05)
    val = pairs(32, 1)
    again = measure(model, reconstruction, val.inputs, val.targets, seed_for(1, "val"))
    best = best_row(history)["val_loss"]
    assert again["loss"].double().mean().item() == best
    assert best == min(row["val_loss"] for row in history)


def test_patience_ends_a_training_that_no_longer_improves() -> None:
    _, history = run(epochs=50, patience=2, lr=1e-9, optimizer="sgd", warmup=4)
    assert len(history) < 50
    assert history[-1]["epoch"] - best_row(history)["epoch"] == 2


@pytest.mark.parametrize(
    ("warmup", "images", "epoch"),
    [(200, 48_000, 1), (1000, 48_000, 2), (1000, 500, 125), (8, 128, 4), (9, 128, 5), (8, 129, 3)],
)
def test_the_warm_up_ends_in_the_epoch_of_its_last_step(
    warmup: int, images: int, epoch: int
) -> None:
    assert Recipe("adam", 1e-3, 64, 9, 9, warmup).warm_epoch(images) == epoch


def rows(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses, start=1)]


def test_patience_counts_from_the_end_of_the_warm_up() -> None:
    recipe = Recipe("adam", 1e-3, 16, epochs=9, patience=2, warmup=12)  # three epochs of 64 images
    assert not over([], recipe, 64)
    assert not over(rows(1, 1, 1, 1), recipe, 64)
    assert over(rows(1, 1, 1, 1, 1), recipe, 64)
    assert not over(rows(1, 1, 1, 0, 1), recipe, 64)
    assert over(rows(1, 1, 1, 0, 1, 1), recipe, 64)
    assert over(rows(*range(9, 0, -1)), recipe, 64)
    assert over(rows(1, 1), replace(recipe, epochs=2), 64)  # all epochs are done


def test_a_training_outlasts_its_warm_up_and_goes_on_within_it() -> None:
    options = {"epochs": 9, "patience": 1, "lr": 1e-9, "optimizer": "sgd", "warmup": 15}
    checkpoints: list[Checkpoint] = []
    _, history = run(**options, on_epoch=checkpoints.append)
    assert len(history) >= 5
    for checkpoint in checkpoints:
        assert run(**options, checkpoint=checkpoint)[1] == history


def test_it_may_be_stopped() -> None:
    _, history = run(epochs=9, stop=lambda history: len(history) == 2)
    assert [row["epoch"] for row in history] == [1, 2]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("lr", [1e-3, 0.3])  # at the large one the best epoch is not the last
def test_it_goes_on_after_any_epoch_to_the_same_bits(optimizer: str, lr: float) -> None:
    checkpoints: list[Checkpoint] = []
    whole, history = run(epochs=4, lr=lr, optimizer=optimizer, on_epoch=checkpoints.append)
    assert [checkpoint.history for checkpoint in checkpoints] == [history[:n] for n in range(1, 5)]
    for checkpoint in checkpoints:
        later: list[Checkpoint] = []
        resumed, again = run(
            epochs=4, lr=lr, optimizer=optimizer, checkpoint=checkpoint, on_epoch=later.append
        )
        assert again == history
        assert len(later) == 4 - len(checkpoint.history)
        for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(a, b)


DECODER = "decoder: 15 layers as one compiled chain"


def changed(name: str) -> nn.Module:
    """The autoencoder as a user might change it."""
    model = Autoencoder(4, 0.1)
    match name:
        case "gelu":
            for stack in (model.encoder, model.decoder):
                for index, layer in enumerate(stack):
                    if isinstance(layer, nn.ReLU):
                        stack[index] = nn.GELU()
        case "batch norm":
            model.encoder.insert(1, nn.BatchNorm2d(8))
            model.decoder.insert(1, nn.BatchNorm1d(64, momentum=None))
        case "5x5":
            model.encoder[0] = nn.Conv2d(1, 8, 5, stride=2, padding=2)
        case "hook":
            model.encoder[0].register_forward_hook(lambda layer, x, y: y + 0.1)
        case "float64":
            parts = dict(model.double().named_children())
            return nn.Sequential(OrderedDict(to_64=Double(), **parts, to_32=Single()))
    return model


class Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double()


class Single(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float()


CHANGED = {  # and what the engine still runs, by explanation
    "gelu": {"encoder: GELU has no kernel", "decoder: GELU has no kernel"},
    "batch norm": {"encoder: BatchNorm2d has no kernel", "decoder: BatchNorm1d has no kernel"},
    "5x5": {"encoder: Conv2d with kernel_size=(5, 5) has no kernel", DECODER},
    "hook": {"encoder: Conv2d has hooks", DECODER},
    "float64": {
        "Sequential: Double has no kernel",
        *(f"{part}: its parameters are torch.float64 on cpu" for part in ("encoder", "decoder")),
    },
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_network_is_trained_as_pytorch_would_and_goes_on_to_the_same_bits(
    name: str,
) -> None:
    def trained(**options) -> tuple[nn.Module, list[EpochMetrics]]:
        model = initialised(1, partial(changed, name), 0.5)
        recipe = Recipe("adam", 1e-3, 16, 4, 9, warmup=4)
        return model, fit(model, reconstruction, pairs(64, 0), pairs(32, 1), recipe, 1, **options)

    checkpoints: list[Checkpoint] = []
    model, history = trained(on_epoch=checkpoints.append)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert set(engine.explain(model).splitlines()) == CHANGED[name]
    for checkpoint in checkpoints[:-1]:
        resumed, again = trained(checkpoint=checkpoint)
        assert again == history
        for key, value in resumed.state_dict().items():
            assert torch.equal(value, model.state_dict()[key])
    again = measure(model, reconstruction, pairs(32, 1).inputs, pairs(32, 1).inputs, 0)["loss"]
    assert again.double().mean().item() == pytest.approx(best_row(history)["val_loss"], rel=1e-6)
    if DECODER not in CHANGED[name]:  # nothing is left to the engine, so there is no other dropout
        with engine.off():
            _, plain = trained()
        for name in ("train_loss", "val_loss"):
            curve, expected = ([row[name] for row in rows] for rows in (history, plain))
            assert curve == pytest.approx(expected, rel=1e-4)


def test_after_the_last_epoch_there_is_nothing_to_do() -> None:
    checkpoints: list[Checkpoint] = []
    options = {"epochs": 50, "patience": 2, "lr": 1e-9, "optimizer": "sgd", "warmup": 4}
    run(**options, on_epoch=checkpoints.append)
    later: list[Checkpoint] = []
    run(**options, checkpoint=checkpoints[-1], on_epoch=later.append)
    assert later == []


def test_a_loss_that_is_not_finite_is_named() -> None:
    with pytest.raises(DivergedError, match=r"not finite at epoch 1, learning rate 0\.5"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 784), nn.Unflatten(1, (1, 28, 28)))
        nn.init.constant_(model[1].weight, math.inf)
        recipe = Recipe("sgd", 0.5, 16, 2, 2)
        fit(model, reconstruction, pairs(32, 0), pairs(32, 1), recipe, 1)


def test_train_values_are_means_over_images_also_with_a_short_last_batch() -> None:
    model = initialised(1, lambda: Autoencoder(4, 0.0), 0.5)
    train = pairs(40, 0)  # 16 + 16 + 8
    recipe = Recipe("sgd", 1e-30, 16, 1, 1)
    history = fit(model, reconstruction, train, pairs(8, 1), recipe, 1)
    expected = measure(model, reconstruction, train.inputs, train.targets, 0)["loss"].mean().item()
    assert history[0]["train_loss"] == pytest.approx(expected, rel=1e-5)


# fmt: off
GOLDEN = {  # a faster layer must not move it; from before Numba's kernels
    "train_loss": [
        0.232391, 0.231404, 0.229697, 0.212049, 0.120491, 0.0875433,
        0.0789579, 0.0751508, 0.073887, 0.07308, 0.0725264, 0.0712768,
    ],
    "val_loss": [
        0.232099, 0.230858, 0.229156, 0.202116, 0.103066, 0.0864809,
        0.0780443, 0.0749932, 0.0738101, 0.0731396, 0.0725835, 0.0717563,
    ],
}
# fmt: on


def blobs(count: int, seed: int) -> Pairs:
    """Images of one bright square each: easy enough to learn in a few epochs."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 20, (count, 2), generator=generator)
    images = torch.zeros(count, 1, 28, 28, dtype=torch.uint8)
    for image, (row, column) in zip(images, corners.tolist(), strict=True):
        image[0, row : row + 8, column : column + 8] = 255
    return Pairs(images, images)


@pytest.mark.usefixtures("way")
def test_the_golden_loss_curve() -> None:
    torch.manual_seed(seed_for(5, "init"))  # PyTorch's initial weights, as then
    model = Autoencoder(8, dropout=0.0)
    recipe = Recipe("adam", 3e-3, 32, epochs=12, patience=12, warmup=200)
    history = fit(model, reconstruction, blobs(512, 0), blobs(128, 1), recipe, 5)
    for name, curve in GOLDEN.items():
        assert [row[name] for row in history] == pytest.approx(curve, rel=0.005)


def test_corruption_reaches_inputs_and_not_targets() -> None:
    _, clean = run(epochs=1)
    _, blank = run(epochs=1, corrupt=torch.zeros_like)
    assert clean[0]["train_loss"] != blank[0]["train_loss"]
    assert blank[0]["train_loss"] > 0.01  # targets stayed what they were

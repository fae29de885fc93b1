"""The study's trainings on tiny data: what is frozen stays frozen, failing to learn is met by a
restart."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from latent_digits.models.networks import Autoencoder, Encoder, Head
from latent_digits.models.objectives import Reconstruction, reconstruction
from latent_digits.models.weights import arrays_of
from latent_digits.study import trainings
from latent_digits.study.noise import Noise
from latent_digits.study.trainings import (
    AGAIN,
    VAE_WARMUP,
    AutoencoderTraining,
    ClassifierTraining,
    DegenerateError,
    HeadTraining,
    Task,
    VaeTraining,
    dead_unit_warnings,
    for_raw_latents,
    is_degenerate,
    of_few_labels,
    trained,
)
from latent_digits.training.loop import Pairs, Recipe
from latent_digits.training.training_data import TrainingData

RECIPE = Recipe("adam", 1e-3, 16, epochs=2, patience=2)
COMMON: Any = {"latent_dim": 3, "recipe": RECIPE, "seed": 1}
SHORT = Recipe("sgd", 0.1, 16, epochs=2, patience=2, warmup=2)


def ignore(row: Any) -> None:
    pass


@pytest.fixture
def training_data() -> TrainingData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 28, 28), dtype=np.uint8)
    labels = np.arange(64) % 10
    return TrainingData(images[:48], labels[:48], images[48:], labels[48:])


def test_every_training_returns_weights_and_a_row_an_epoch(training_data: TrainingData) -> None:
    noise = Noise(0.5, 0.3, 0.05, 0.5)
    for training in (
        AutoencoderTraining(**COMMON, dropout=0.1),
        AutoencoderTraining(**COMMON, dropout=0.1, noise=noise),
        VaeTraining(**COMMON),
        ClassifierTraining(**COMMON, hidden=8, dropout=0.1),
    ):
        result = training(training_data, None, ignore)
        assert [row["epoch"] for row in result.history] == [1, 2]
        assert sum(w.size for w in result.weights.values()) == result.trainable_parameters
        assert result.attempt == 1


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_frozen_encoder_stays_as_it_was(training_data: TrainingData, pretrained: bool) -> None:
    given = arrays_of(Encoder(3, 0.0)) if pretrained else None
    head = HeadTraining(**COMMON, hidden=8, encoder_weights=given)
    result = head(training_data, None, ignore)
    again = replace(head, recipe=Recipe("adam", 0.01, 16, 1, 1))(training_data, None, ignore)
    kept = {k: v for k, v in result.weights.items() if k.startswith("encoder.")}
    for name, values in kept.items():
        np.testing.assert_array_equal(values, again.weights[name])
        if given is not None:
            np.testing.assert_array_equal(values, given[name.removeprefix("encoder.")])
    assert result.trainable_parameters == 3 * 8 + 8 + 8 * 10 + 10


def test_a_head_for_standardized_latents_gives_the_same_for_raw_ones() -> None:
    torch.manual_seed(0)
    head, raw = Head(3, 8), Head(3, 8)
    mean, deviation = np.float32([1.0, -2.0, 0.5]), np.float32([0.1, 3.0, 1.0])
    weights = for_raw_latents(arrays_of(head), mean, deviation)
    raw.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    z = torch.randn(16, 3)
    standardized = (z - torch.from_numpy(mean)) / torch.from_numpy(deviation)
    torch.testing.assert_close(raw(z), head(standardized), rtol=1e-4, atol=1e-4)


def test_few_labels_are_equal_shares_that_come_again_and_again() -> None:
    labels = torch.arange(1000) ** 2 % 10  # 0, 1, 4, 5, 6 and 9: 2, 3, 7 and 8 are missing
    pairs = Pairs(torch.arange(1000), labels)
    seen = {}
    for count in (12, 60, 1000):
        found = of_few_labels(pairs, count, seed=1)
        assert len(found.inputs) == len(found.targets) == min(AGAIN * count, 1000)
        assert torch.equal(found.targets, labels[found.inputs])
        seen[count], times = np.unique(found.inputs, return_counts=True)
        assert len(seen[count]) == count
        assert times.max() - times.min() <= 1
    assert np.bincount(labels[seen[12]]).tolist() == [2, 2, 0, 0, 2, 2, 2, 0, 0, 2]
    assert {*seen[12]} < {*seen[60]} < {*seen[1000]}
    assert {*seen[12]} != {*of_few_labels(pairs, 12, seed=2).inputs.tolist()}
    assert of_few_labels(pairs, None, seed=1) is pairs


def test_a_classifier_of_few_labels_learns_from_no_other_image(training_data: TrainingData) -> None:
    labels = torch.from_numpy(training_data.train_labels)
    used = of_few_labels(Pairs(torch.arange(48), labels), 20, COMMON["seed"]).inputs
    others = np.setdiff1d(np.arange(48), used)
    images = training_data.train_images.copy()
    images[others] = images[others[::-1]]  # of the same mean brightness
    mixed_up = replace(training_data, train_images=images)
    few = ClassifierTraining(**COMMON, hidden=8, dropout=0.1, labels=20)
    assert few(mixed_up, None, ignore).history == few(training_data, None, ignore).history
    whole = replace(few, labels=None)
    assert whole(mixed_up, None, ignore).history != whole(training_data, None, ignore).history


class Constant(nn.Module):
    """A model that cannot look at its input."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.rand(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value.expand_as(x)


class Scaled(nn.Module):
    """A model that can."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.value


def task() -> Task:
    x = torch.rand(32, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Task(reconstruction, Pairs(x, x), Pairs(x, x), brightness=0.5)


def test_failing_to_learn_is_said_and_started_again() -> None:
    said: list[Any] = []
    models = iter([Constant(), Constant(), Scaled()])
    recipe = Recipe("sgd", 0.1, 16, epochs=9, patience=2, warmup=2)
    result = trained(lambda: next(models), task(), recipe, 1, None, said.append)
    assert result.attempt == 3
    notes = [event for event in said if isinstance(event, str)]
    assert notes[0] == "PyTorch's own layers compute Constant (it is in no nn.Sequential)"
    assert [note[:28] for note in notes[1:]] == [f"degenerate in attempt {n} of 5" for n in (1, 2)]


def test_a_training_goes_on_in_the_attempt_that_it_was_in() -> None:
    recipe = Recipe("sgd", 0.1, 16, epochs=9, patience=2, warmup=2)
    events: list[Any] = []
    models = iter([Constant(), Scaled()])
    whole = trained(lambda: next(models), task(), recipe, 1, None, events.append)
    checkpoints = [event for event in events if not isinstance(event, str)]
    assert {checkpoint.attempt for checkpoint in checkpoints} == {1, 2}
    for checkpoint in checkpoints:
        models = iter([Constant(), Scaled()][checkpoint.attempt - 1 :])
        again = trained(lambda models=models: next(models), task(), recipe, 1, checkpoint, ignore)
        assert again == whole


class Easy(Reconstruction):
    def constant_loss(self, train: np.ndarray, val: np.ndarray) -> float:
        return 1.0


def test_a_layer_without_a_live_unit_is_a_collapse_whatever_the_loss() -> None:
    said: list[Any] = []
    models = [Autoencoder(3, 0.0) for _ in range(2)]

    def build() -> Autoencoder:
        return models.pop()

    def initialised(seed: int, build: Any, brightness: float) -> Autoencoder:
        model = build()
        if models:  # the first of two
            model.decoder[3].bias.data.fill_(-1e3)
        return model

    x = torch.rand(32, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    easy = Task(Easy(), Pairs(x, x), Pairs(x, x), brightness=0.5)
    recipe = Recipe("sgd", 1e-9, 16, epochs=3, patience=1, warmup=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "initialised", initialised)
        result = trained(build, easy, recipe, 1, None, said.append)
    assert result.attempt == 2
    notes = [event for event in said if isinstance(event, str)]
    assert notes[0].startswith("degenerate in attempt 1 of 5: ")


def test_what_is_said_of_dead_units() -> None:
    layers = [f"dead_{part}_{n}" for part in ("encoder", "decoder") for n in range(1, 5)]
    row = dict.fromkeys(layers, 0.4)
    model = Autoencoder(33, 0.0)
    assert list(dead_unit_warnings(model, row)) == []
    (warning,) = dead_unit_warnings(model, row | {"dead_encoder_2": 0.5, "dead_decoder_4": 0.625})
    assert ": 50 % of encoder_2, 62 % of decoder_4; a lower learning rate loses fewer" in warning
    warning, lost = dead_unit_warnings(model, row | {"dead_encoder_4": 37 / 64})
    assert "58 % of encoder_4" in warning
    assert lost.startswith("the bottleneck is lost: 27 live units carry 33 latents")
    assert list(dead_unit_warnings(Head(33, 8), {"dead_head_1": 0.4})) == []


def test_too_many_collapses_end_the_training() -> None:
    recipe = Recipe("sgd", 0.1, 16, epochs=9, patience=2, warmup=2)
    with pytest.raises(
        DegenerateError, match=r"constant answer after 5 attempts, learning rate 0\.1"
    ):
        trained(Constant, task(), recipe, 1, None, ignore)


@pytest.mark.parametrize("recipe", [SHORT, replace(SHORT, epochs=9, warmup=18)])
def test_a_short_budget_is_no_collapse_and_told(recipe: Recipe) -> None:
    said: list[Any] = []
    assert trained(Constant, task(), recipe, 1, None, said.append).attempt == 1
    _, warning = (event for event in said if isinstance(event, str))
    assert warning.startswith("too short to tell whether it learns: validation loss 0.")
    assert f"after epoch {recipe.epochs} with a learning rate that rises until epoch" in warning
    assert warning.endswith("raise epochs or lower batch_size in params.yaml.")


def test_there_is_no_verdict_before_the_warm_up_has_ended() -> None:
    recipe = replace(SHORT, warmup=5)  # three epochs of 32 images
    late = [{"epoch": epoch, "val_loss": 1.0} for epoch in range(1, 6)]
    assert [is_degenerate(late[:n], task(), recipe) for n in range(6)] == [False] * 5 + [True]


def test_a_model_that_learns_once_it_is_warm_is_not_started_again() -> None:
    def build() -> Scaled:
        model = Scaled()
        nn.init.zeros_(model.value)
        return model

    recipe = Recipe("sgd", 0.3, 16, epochs=40, patience=2, warmup=60)  # 30 epochs
    result = trained(build, task(), recipe, 1, None, ignore)
    assert result.attempt == 1
    losses = [row["val_loss"] for row in result.history]
    assert losses[recipe.patience] > task().constant_loss > losses[-1]


def test_a_vae_on_few_images_has_its_warm_up(training_data: TrainingData) -> None:
    recipe = Recipe("sgd", 1e-9, 16, epochs=5, patience=2)
    said: list[Any] = []
    result = VaeTraining(latent_dim=3, recipe=recipe, seed=1)(training_data, None, said.append)
    assert (result.attempt, len(result.history)) == (1, 5)
    assert f"rises until epoch {-(-VAE_WARMUP // 3)}" in said[-1]

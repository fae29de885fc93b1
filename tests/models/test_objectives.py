"""What a training that learned nothing reaches: each objective's constant answer, by hand."""

import numpy as np
import pytest
import torch

from latent_digits import engine
from latent_digits.engine import recording
from latent_digits.models import objectives
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
)
from latent_digits.models.objectives import (
    NegativeElbo,
    classification,
    measure,
    negative_elbo,
    reconstruction,
)
from latent_digits.training.dead_units import Units

BLACK, WHITE = np.zeros((1, 1, 2, 2), dtype=np.uint8), np.full((1, 1, 2, 2), 255, dtype=np.uint8)


def test_the_mean_image_has_a_squared_error_a_pixel_or_an_image() -> None:
    train = np.concatenate([BLACK, WHITE])
    assert reconstruction.constant_loss(train, WHITE) == pytest.approx(0.25)
    assert negative_elbo.constant_loss(train, WHITE) == pytest.approx(4 * 0.25)


def test_the_divergence_has_a_weight() -> None:
    torch.manual_seed(0)
    model, x = VariationalAutoencoder(3), torch.rand(4, 1, 28, 28)

    def values(beta: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        return NegativeElbo(beta)(model, x, x)

    one, four = values(1.0), values(4.0)
    assert torch.equal(one["loss"], one["squared_error"] + one["kl"])
    assert torch.equal(four["kl"], one["kl"])
    torch.testing.assert_close(four["loss"], one["squared_error"] + 4 * one["kl"])
    gradients = [torch.autograd.grad(v["loss"].sum(), model.mu[-1].bias)[0] for v in (one, four)]
    assert not torch.allclose(*gradients)


def test_stored_images_and_networks_inputs_have_one_baseline() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), dtype=np.uint8)
    stored = reconstruction.constant_loss(images[:12], images[12:])
    seen = (images / 255).astype(np.float32)
    assert reconstruction.constant_loss(seen[:12], seen[12:]) == pytest.approx(stored)


def test_the_labels_shares_have_a_cross_entropy() -> None:
    train = np.array([3, 3, 3, 7])
    assert classification.constant_loss(train, np.array([3])) == pytest.approx(-np.log(0.75))
    assert classification.constant_loss(train, np.array([7])) == pytest.approx(-np.log(0.25))


@pytest.mark.parametrize("stored", [torch.uint8, torch.float32])
def test_no_image_has_no_values(stored: torch.dtype) -> None:
    images, labels = torch.zeros(0, 1, 28, 28, dtype=stored), torch.zeros(0, dtype=torch.int64)
    for model, objective, targets, names in (
        (VariationalAutoencoder(3), negative_elbo, images, {"loss", "squared_error", "kl"}),
        (Autoencoder(3, 0.0), reconstruction, images, {"loss"}),
        (Classifier(Encoder(3, 0.0), Head(3, 4)), classification, labels, {"loss", "accuracy"}),
    ):
        found = measure(engine.accelerate(model), objective, images, targets, 1)
        assert set(found) == names
        assert all(value.shape == (0,) for value in found.values())


def test_each_input_has_a_target() -> None:
    images = torch.zeros(3, 1, 28, 28)
    with pytest.raises(ValueError, match="3 inputs have 2 targets"):
        measure(VariationalAutoencoder(3), negative_elbo, images, images[:2], 1)


@pytest.mark.parametrize("batches", [slice(None), slice(1, None, 2)])
@pytest.mark.parametrize("stored", [True, False])
def test_recorded_batches_measure_what_each_measures(
    monkeypatch: pytest.MonkeyPatch, batches: slice, stored: bool
) -> None:
    monkeypatch.setattr(objectives, "EVAL_BATCH", 5)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (94, 1, 28, 28), dtype=torch.uint8)
    inputs = images if stored else torch.rand(28, 28, 94, 1).permute(2, 3, 0, 1)
    model = engine.accelerate(VariationalAutoencoder(3))
    answers = []
    for fewest in (recording.FEWEST, 100):
        monkeypatch.setattr(recording, "FEWEST", fewest)
        units = Units(model)
        with units.watched():
            found = measure(model, negative_elbo, inputs, images, 1, batches)
        answers.append(({name: value.tolist() for name, value in found.items()}, units.dead()))
    assert answers[0] == answers[1]

"""Initial weights: as large as He et al. say, alive, as bright as the data, the same for a seed."""

from functools import partial

import pytest
import torch
from torch import nn

from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
)
from latent_digits.training.dead_units import Units, dead_shares
from latent_digits.training.initialization import fan_in, initialised, logit

BUILDS = {
    "ae": partial(Autoencoder, 33, 0.0),
    "vae": partial(VariationalAutoencoder, 33),
    "classifier": lambda: Classifier(Encoder(33, 0.0), Head(33, 128)),
}


def test_the_fan_in_of_each_layer() -> None:
    assert fan_in(nn.Linear(288, 64)) == 288
    assert fan_in(nn.Conv2d(8, 16, 3)) == 72
    assert fan_in(nn.ConvTranspose2d(32, 16, 3, stride=2)) == 72  # of a pixel in the mean


def test_weights_vary_as_they_should_and_biases_are_zero() -> None:
    model = initialised(1, partial(Autoencoder, 33, 0.0), 0.1)
    for stack, variances in (
        (model.encoder, (2 / 9, 2 / 72, 2 / 144, 2 / 288, 0.1 / 64)),
        (model.decoder, (2 / 33, 2 / 64, 2 / 72, 2 / 36, 1 / 18)),
    ):
        layers = [layer for layer in stack if hasattr(layer, "weight")]
        for layer, variance in zip(layers, variances, strict=True):
            assert layer.weight.var().item() == pytest.approx(variance, rel=0.35)
        for layer in layers[:-1]:
            assert not layer.bias.any()
    assert not model.encoder[-1].bias.any()
    assert model.decoder[-2].bias.item() == pytest.approx(logit(0.1))


def test_between_two_relus_weights_sum_to_zero_and_elsewhere_not() -> None:
    model = initialised(1, partial(Autoencoder, 2, 0.0), 0.1)
    first, *hidden, last = (layer for layer in model.encoder if hasattr(layer, "weight"))
    start, middle, *transposed, image = (
        layer for layer in model.decoder if hasattr(layer, "weight")
    )
    sums = [layer.weight.flatten(1).sum(1) for layer in (*hidden, middle)]
    sums += [layer.weight.sum(0) for layer in transposed]
    assert max(one.abs().max().item() for one in sums) < 1e-5
    for layer in (first, last, start, image):
        assert layer.weight.flatten(1).sum(1).abs().mean().item() > 0.1
    assert torch.linalg.matrix_rank(start.weight).item() == 2  # both latents are seen


def test_an_output_of_one_input_has_a_weight() -> None:
    build = partial(nn.Sequential, nn.Linear(3, 1), nn.ReLU(), nn.Linear(1, 2), nn.ReLU())
    assert initialised(1, build, 0.5)[2].weight.all()


def test_an_activation_counts_behind_a_normalization_and_relus_like_count_as_one() -> None:
    def build() -> nn.Sequential:
        return nn.Sequential(
            *(nn.Conv2d(1, 8, 5), nn.BatchNorm2d(8), nn.GELU()),
            *(nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16), nn.GELU()),
            nn.Conv2d(16, 4, 3),
        )

    model = initialised(1, build, 0.5)
    variances = [model[index].weight.var().item() for index in (0, 3, 6)]
    assert variances == pytest.approx([2 / 25, 2 / 72, 0.1 / 144], rel=0.15)
    assert model[3].weight.flatten(1).sum(1).abs().max() < 1e-5
    assert not model[0].bias.any()
    assert model[1].weight.all()  # PyTorch's ones


def test_weights_before_another_activation_are_pytorchs_own() -> None:
    def build() -> nn.Sequential:
        return nn.Sequential(
            *(nn.Linear(9, 400), nn.Tanh()),
            *(nn.Linear(400, 300), nn.LayerNorm(300), nn.ReLU()),
            *(nn.Linear(300, 288), nn.Unflatten(1, (32, 3, 3)), nn.PReLU(32)),
            nn.Flatten(),
            nn.Linear(288, 5),
        )

    model = initialised(1, build, 0.5)
    variances = [model[index].weight.var().item() for index in (0, 2, 5, 9)]
    assert variances == pytest.approx([1 / 27, 2 / 400, 2 / 300, 0.1 / 288], rel=0.1)
    assert model[0].bias.any()
    assert not model[2].bias.any()


@pytest.mark.parametrize("brightness", [0.0, 0.13, 1.0])
def test_images_begin_as_bright_as_the_data(brightness: float) -> None:
    with torch.no_grad():
        image = initialised(1, partial(Autoencoder, 33, 0.0), brightness)(torch.rand(64, 1, 28, 28))
    assert image.mean().item() == pytest.approx(brightness, abs=0.03)


@pytest.mark.parametrize("name", BUILDS)
def test_at_first_hardly_a_unit_is_dead(name: str) -> None:
    model = initialised(1, BUILDS[name], 0.13)
    assert worst(model) < 0.15 < worst(BUILDS[name]())


def worst(model: nn.Module) -> float:
    """The largest share of a layer's units that answer to none of 200 images."""
    units = Units(model)
    with torch.no_grad(), units.watched():
        model(torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    return max(dead_shares(units.dead()).values())


def test_a_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    one = initialised(1, BUILDS["ae"], 0.13)
    torch.rand(3)
    same, other = (initialised(seed, BUILDS["ae"], 0.13) for seed in (1, 2))
    for a, b, c in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim == 1 or not torch.equal(a, c)


def test_a_module_without_sequentials_is_left_as_it_was_built() -> None:
    linear = initialised(1, lambda: nn.Linear(2, 3), 0.5)
    assert linear.bias.any()

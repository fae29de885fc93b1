"""Dead units are those that answer to no image, counted by neuron and channel, both ways."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from latent_digits import engine
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Encoder,
    Head,
    VariationalAutoencoder,
)
from latent_digits.training import ranks
from latent_digits.training.dead_units import Units, dead_shares, has_dead_layer, live_neurons
from latent_digits.training.initialization import initialised
from latent_digits.training.ranks import Ranks

pytestmark = pytest.mark.usefixtures("way")


def images(count: int = 40) -> Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def shares_of(model: torch.nn.Module, *batches: Tensor) -> dict[str, float]:
    units = Units(engine.accelerate(model))
    with torch.no_grad(), units.watched():
        for batch in batches:
            model(batch)
    return dead_shares(units.dead())


def test_a_unit_that_answers_in_one_batch_lives() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
        model[0].bias.zero_()
    left, right = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert shares_of(model, left) == {"sequential_1": pytest.approx(2 / 3)}
    assert shares_of(model, left, right) == {"sequential_1": pytest.approx(1 / 3)}
    assert shares_of(model) == {"sequential_1": 1.0}  # nobody was asked


def test_a_channel_lives_by_any_of_its_pixels() -> None:
    model = initialised(1, partial(Autoencoder, 5, 0.0), 0.13)
    with torch.no_grad():
        model.encoder[0].bias[:2] = -100.0
        model.decoder[3].bias[:72] = -100.0
    shares = shares_of(model, images())
    assert shares["encoder_1"] == 2 / 8
    assert 72 / 288 <= shares["decoder_2"] < 0.5
    assert list(shares) == [f"{part}_{n}" for part in ("encoder", "decoder") for n in range(1, 5)]


def test_it_is_what_torch_says_of_the_activations() -> None:
    model = Autoencoder(5, 0.0).eval()
    shares = shares_of(model, images())
    with torch.no_grad():
        y = images()
        for layer in model.encoder:
            y = layer(y)
            if isinstance(layer, nn.ReLU):
                last = y
    dead = (last.amax(0) <= 0).double().mean().item()
    assert shares["encoder_4"] == dead > 0


def test_every_model_has_its_layers_named() -> None:
    names = {
        "vae": list(shares_of(VariationalAutoencoder(3), images())),
        "classifier": list(shares_of(Classifier(Encoder(3, 0.0), Head(3, 8)), images())),
        "head": list(shares_of(Head(3, 8), torch.rand(5, 3))),
    }
    assert names == {
        "vae": ["convolutions_1", "convolutions_2", "convolutions_3", "mu_1", "log_var_1"]
        + [f"decoder_{n}" for n in range(1, 5)],
        "classifier": [f"encoder_{n}" for n in range(1, 5)] + ["head_1"],
        "head": ["head_1"],
    }


def test_values_are_the_same_when_watched() -> None:
    model = engine.accelerate(VariationalAutoencoder(3).eval())
    units = Units(model)
    seen = []
    for watched in (nullcontext(), units.watched(), nullcontext()):
        torch.manual_seed(0)
        with torch.no_grad(), watched:
            seen.append(model(images()))
    for plain, other, after in zip(*seen, strict=True):
        assert torch.equal(plain, other)
        assert torch.equal(plain, after)
    assert not any(relu._forward_hooks for relu in units.layers)


def test_what_is_normalized_has_units_and_what_is_reshaped_or_no_relu_has_none() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.GELU()),
        *(nn.Flatten(), nn.ReLU(), nn.Linear(2 * 24 * 24, 4), nn.ReLU()),
    )
    shares = shares_of(model.eval(), images())
    assert list(shares) == ["sequential_1", "sequential_2"]
    assert live_neurons(model, {f"dead_{name}": 0.25 for name in shares}) == 3


def test_a_unit_lives_if_it_answers_in_any_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Two(Ranks):
        def add_up(self, vector: Tensor) -> None:
            vector[0] += 1  # the other process saw the first unit answer

    monkeypatch.setattr(ranks, "current", lambda: Two(0, 2))
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    assert Units(model).dead() == {"dead_sequential_1": 0.75}


def test_what_a_history_says() -> None:
    row = {"epoch": 1.0, "val_loss": 0.1, "dead_encoder_4": 0.5, "dead_decoder_1": 0.25}
    assert dead_shares(row) == {"encoder_4": 0.5, "decoder_1": 0.25}
    assert not has_dead_layer(row)
    assert has_dead_layer(row | {"dead_decoder_2": 1.0})
    assert not has_dead_layer(row | {"dead_log_var_1": 1.0})
    every = {f"dead_{part}_{n}": 0.0 for part in ("encoder", "decoder") for n in range(1, 5)}
    assert live_neurons(Autoencoder(33, 0.0), every | row) == 32
    assert live_neurons(Autoencoder(33, 0.0), every | {"dead_encoder_1": 1.0}) == 64

"""Shapes, ranges and parameter counts of the original report's networks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from latent_digits import engine
from latent_digits.models.architecture import Architecture
from latent_digits.models.losses import mean_squared_error
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
    Head,
    VariationalAutoencoder,
    parameter_count,
)
from latent_digits.models.objectives import (
    Objective,
    classification,
    negative_elbo,
    reconstruction,
)
from latent_digits.study.noise import Noise
from latent_digits.training.initialization import initialised
from same_draws import SameDraws


@pytest.mark.parametrize("z", [1, 2, 33, 50])
def test_parameter_counts(z: int) -> None:
    assert parameter_count(Encoder(z, 0.1)) == 24_384 + 65 * z
    assert parameter_count(Decoder(z, 0.1)) == 24_641 + 64 * z


def test_the_reports_counts() -> None:
    assert parameter_count(Autoencoder(33, 0.0)) == 53_282
    assert parameter_count(Autoencoder(2, 0.0)) == 49_283
    assert parameter_count(VariationalAutoencoder(33)) == 73_923
    assert parameter_count(Head(33, 128)) == 5_642


@pytest.mark.parametrize("batch", [1, 5])
def test_shapes_and_range(batch: int) -> None:
    x = torch.rand(batch, 1, 28, 28)
    y = Autoencoder(4, 0.5)(x)
    assert y.shape == x.shape
    assert ((y > 0) & (y < 1)).all()
    x_hat, mu, log_var = VariationalAutoencoder(4)(x)
    assert x_hat.shape == x.shape
    assert mu.shape == log_var.shape == (batch, 4)
    assert Classifier(Encoder(4, 0.0), Head(4, 8))(x).shape == (batch, 10)


@pytest.mark.parametrize("size", [9, 10, 12, 16, 27, 28, 32, 45, 64])
def test_images_of_any_size_come_back_in_it_and_the_engine_runs_all(size: int) -> None:
    architecture = Architecture(size, (3, 4, 5), 7)
    x = torch.rand(2, 1, size, size)
    for model in (Autoencoder(4, 0.1, architecture), VariationalAutoencoder(4, architecture)):
        out = engine.accelerate(model)(x)
        assert (out[0] if isinstance(out, tuple) else out).shape == x.shape
        assert engine.left_to_pytorch(model) == ""
    with engine.off():
        encoder = Encoder(4, 0.0, architecture)
        expected = encoder(x)
    torch.testing.assert_close(engine.accelerate(encoder)(x), expected, rtol=1e-4, atol=1e-5)


def test_the_reports_architecture_is_the_default() -> None:
    assert Architecture().sides == [28, 14, 7, 3]
    assert Architecture().features == 288
    paddings = [
        (layer.padding[0], layer.output_padding[0])
        for layer in Decoder(2, 0.0)
        if isinstance(layer, nn.ConvTranspose2d)
    ]
    assert paddings == [(0, 0), (1, 1), (1, 1)]


BUILDS: dict[str, tuple[Callable[[], nn.Module], Objective]] = {
    "autoencoder": (lambda: Autoencoder(5, 0.3), reconstruction),
    "denoiser": (lambda: Autoencoder(5, 0.3), reconstruction),
    "vae": (lambda: VariationalAutoencoder(5), negative_elbo),
    "head": (lambda: Head(5, 16), classification),
    "classifier": (lambda: Classifier(Encoder(5, 0.3), Head(5, 16)), classification),
}


@pytest.mark.parametrize("name", BUILDS)
def test_the_engine_is_pytorch_forwards_backwards_and_over_ten_steps(name: str) -> None:
    """With the same dropout, noise and samples in both."""
    build, objective = BUILDS[name]
    noise = Noise(0.5, 0.3, 0.05, 0.5)

    def trained() -> tuple[list[float], list[Tensor], list[Tensor]]:
        model = engine.accelerate(initialised(1, build, 0.2))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        losses, gradients = [], []
        for step in range(10):
            torch.manual_seed(step)
            x = torch.rand(32, 5) if name == "head" else torch.rand(32, 1, 28, 28)
            labels = torch.arange(32) % 10
            seen = noise(x) if name == "denoiser" else x
            loss = objective(model, seen, labels if objective is classification else x)["loss"]
            optimizer.zero_grad()
            loss.mean().backward()
            gradients = gradients or [p.grad.clone() for p in model.parameters()]
            optimizer.step()
            losses += loss.tolist()
        return losses, gradients, [p.detach() for p in model.parameters()]

    assert engine.left_to_pytorch(engine.accelerate(build())) == ""
    losses, gradients, weights = trained()
    with engine.off(), SameDraws():
        expected = trained()
    assert losses == pytest.approx(expected[0], rel=1e-4)
    for one, other in zip(gradients, expected[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * other.abs().max().item())
    for one, other in zip(weights, expected[2], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=5e-4)  # Adam's steps are 1e-3 each


def test_a_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    x = torch.rand(64, 1, 28, 28)
    for model in (Autoencoder(4, 0.1), VariationalAutoencoder(4)):
        out = model(x)
        x_hat = out[0] if isinstance(out, tuple) else out
        mean_squared_error(x_hat, x).mean().backward()
        assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_eval_mode_repeats_and_a_vae_samples() -> None:
    x = torch.rand(3, 1, 28, 28)
    model = Autoencoder(4, 0.5).eval()
    assert torch.equal(model(x), model(x))
    vae = VariationalAutoencoder(4).eval()
    assert not torch.equal(vae(x)[0], vae(x)[0])

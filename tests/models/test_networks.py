"""Shapes, ranges and parameter counts of the report's networks."""

import pytest
import torch
from torch import nn

from latent_digits.models.losses import mean_squared_error
from latent_digits.models.networks import (
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
    Head,
    VariationalAutoencoder,
    parameter_count,
    sample,
)


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


def test_equals_the_same_network_of_pytorchs_layers() -> None:
    torch.manual_seed(0)
    model = Autoencoder(5, 0.0)
    state = list(model.state_dict().values())
    reference = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, 2, 0), nn.ReLU(), nn.Flatten(), nn.Linear(288, 64), nn.ReLU()),
        *(nn.Linear(64, 5), nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 288), nn.ReLU()),
        *(nn.Unflatten(1, (32, 3, 3)), nn.ConvTranspose2d(32, 16, 3, 2, 0), nn.ReLU()),
        *(nn.ConvTranspose2d(16, 8, 3, 2, 1, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 1, 3, 2, 1, 1), nn.Sigmoid()),
    )
    names = list(reference.state_dict())
    reference.load_state_dict(dict(zip(names, state, strict=True)))
    x = torch.rand(7, 1, 28, 28)
    torch.testing.assert_close(model(x), reference(x))


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


@pytest.mark.usefixtures("way")
def test_a_sample_is_drawn_from_the_distribution_named() -> None:
    torch.manual_seed(0)
    mu, log_var = (torch.tensor(row).repeat(20_000, 1) for row in ([0.0, 3.0], [0.0, -2.0]))
    z = sample(mu, log_var)
    torch.testing.assert_close(z.mean(0), mu[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), log_var[0].mul(0.5).exp(), atol=0, rtol=0.02)
    assert abs(torch.corrcoef(z.T)[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([z[:-1, 0], z[1:, 0]]))[0, 1]) < 0.03


@pytest.mark.usefixtures("way")
def test_a_sample_has_the_reparametrized_gradient() -> None:
    mu, log_var = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    torch.manual_seed(1)
    noise = sample(torch.zeros(4, 3), torch.zeros(4, 3))
    torch.manual_seed(1)
    z = sample(mu, log_var)
    expected = mu + noise * torch.exp(0.5 * log_var)
    torch.testing.assert_close(z, expected)
    weights = torch.rand(4, 3)
    pairs = [((one * weights).sum(), (mu, log_var)) for one in (z, expected)]
    actual, wanted = (torch.autograd.grad(*pair) for pair in pairs)
    torch.testing.assert_close(actual, wanted)

"""Pixels and samples; the other functions are tested with what is made of them."""

import pytest
import torch
from torch import Tensor

from latent_digits.engine.functional import (
    adam,
    add_total,
    lerp,
    normal_sample,
    note_positive,
    pixels,
    squared_error,
)

pytestmark = pytest.mark.usefixtures("way")


@pytest.mark.parametrize("index", [None, torch.tensor([4, 0, 4]), torch.arange(19) % 5])
def test_values_shape_and_memory(index: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    stored = torch.randint(0, 256, (5, 1, 3, 2), dtype=torch.uint8)
    x = pixels(stored, index)
    chosen = stored if index is None else stored[index]
    assert torch.equal(x, chosen.float() / 255)
    assert x.movedim(0, -1).is_contiguous()


def test_floats_stay_as_they_are() -> None:
    latents = torch.rand(5, 3)
    assert pixels(latents) is latents
    assert torch.equal(pixels(latents, torch.tensor([2, 1])), latents[[2, 1]])


def test_a_sample_is_drawn_from_the_distribution_named() -> None:
    torch.manual_seed(0)
    mu, log_var = (torch.tensor(row).repeat(20_000, 1) for row in ([0.0, 3.0], [0.0, -2.0]))
    z = normal_sample(mu, log_var)
    torch.testing.assert_close(z.mean(0), mu[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), log_var[0].mul(0.5).exp(), atol=0, rtol=0.02)
    assert abs(torch.corrcoef(z.T)[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([z[:-1, 0], z[1:, 0]]))[0, 1]) < 0.03


def test_a_sample_has_the_reparametrized_gradient() -> None:
    mu, log_var = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    torch.manual_seed(1)
    noise = normal_sample(torch.zeros(4, 3), torch.zeros(4, 3))
    torch.manual_seed(1)
    z = normal_sample(mu, log_var)
    expected = mu + noise * torch.exp(0.5 * log_var)
    torch.testing.assert_close(z, expected)
    weights = torch.rand(4, 3)
    pairs = [((one * weights).sum(), (mu, log_var)) for one in (z, expected)]
    actual, wanted = (torch.autograd.grad(*pair) for pair in pairs)
    torch.testing.assert_close(actual, wanted)


@pytest.mark.parametrize("values", [torch.ones(200, 2)[:, 0], torch.ones(1).expand(200_000)])
def test_a_total_is_of_values_however_they_lie(values: Tensor) -> None:
    total = torch.zeros((), dtype=torch.float64)
    add_total(values, total)
    assert total == len(values)


@pytest.mark.parametrize("numbers", [1, 1024, 1025, 5000])
def test_units_are_noted_that_are_anywhere_positive(numbers: int) -> None:
    y = torch.full((7, numbers), -1.0)
    y[1, 0] = y[2, -1] = 2e-38
    y[3], y[4], y[5, -1] = 0.0, -0.0, torch.nan
    noted = torch.tensor([False, False, False, False, False, False, True])
    note_positive(y, noted)
    assert noted.tolist() == [False, True, True, False, False, False, True]
    every_other = torch.zeros(14, dtype=torch.bool)
    note_positive(y, every_other[::2])
    assert every_other.nonzero().flatten().tolist() == [2, 4]


def test_a_number_may_be_a_tensor() -> None:
    values, to, share = torch.ones(4), torch.zeros(4), torch.tensor(0.25)
    lerp(values, to, share)
    assert values.tolist() == [0.75] * 4
    adam(values, to + 1, to.clone(), to + 1, share, torch.ones(()), 0.9, 1.0, 0.0)
    torch.testing.assert_close(values, torch.full((4,), 0.75 - 0.025))
    found = squared_error(torch.ones(2, 3), torch.zeros(2, 3), share)  # type: ignore[arg-type]
    assert found.tolist() == [0.75] * 2


def test_pixels_are_chosen_by_integers_or_a_mask() -> None:
    stored = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)
    for index in (torch.tensor([0, 2]), torch.tensor([0, 2], dtype=torch.int32)):
        assert torch.equal(pixels(stored, index), stored[[0, 2]] / 255)
    assert torch.equal(pixels(stored, torch.tensor([True, False, True])), stored[[0, 2]] / 255)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.3, 1e-4])
@pytest.mark.parametrize("every", [1, 2])
def test_values_move_as_torch_moves_them(share: float, every: int) -> None:
    values, to = torch.randn(2, 2 * 1003, generator=torch.Generator().manual_seed(0))[:, ::every]
    expected = values.lerp(to, share)
    lerp(values, to, share)
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-7)

"""Noise: the moments that it says, the range, and the same draw for the same seed."""

import numpy as np
import pytest
import torch

from latent_digits.engine import kernels
from latent_digits.engine.draws import LEVELS, draw_keys, normal_levels
from latent_digits.study.noise import Noise, corrupted

TEXT = Noise(gaussian_mean=0.5, gaussian_variance=0.3, salt_pepper=0.05, speckle_variance=0.5)


def grey(level: float = 0.5) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.full((200, 1, 28, 28), level)


def test_gaussian_takes_a_variance(way: str) -> None:
    y = Noise(0.1, 0.0025, 0.0, 0.0)(grey())
    assert y.mean().item() == pytest.approx(0.6, abs=1e-3)
    assert y.var().item() == pytest.approx(0.0025, rel=0.02)
    deviations = (y.flatten() - 0.6) / 0.05
    for limit, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert (deviations.abs() < limit).float().mean().item() == pytest.approx(share, abs=4e-3)


def test_speckle_scales_with_the_pixel(way: str) -> None:
    noise = Noise(0.0, 0.0, 0.0, 0.01)
    assert noise(grey(0.4)).var().item() == pytest.approx(0.01 * 0.16, rel=0.02)
    assert not noise(grey(0.0)).any()


def test_salt_and_pepper_share_the_pixels_equally(way: str) -> None:
    y = Noise(0.0, 0.0, 0.1, 0.0)(grey())
    for extreme in (0, 1):
        assert (y == extreme).float().mean().item() == pytest.approx(0.05, abs=2e-3)
    assert ((y == 0) | (y == 1) | (y == 0.5)).all()


def test_the_three_follow_each_other_with_draws_of_their_own(way: str) -> None:
    """All pixels salted or peppered, so what goes before is gone, then moved by the Gaussian."""
    y = Noise(0.25, 0.0, 1.0, 1.0)(grey())
    assert sorted(y.unique().tolist()) == [0.25, 1.0]
    y = Noise(0.0, 0.01, 0.0, 0.04)(grey())
    assert y.var().item() == pytest.approx(0.01 + 0.04 * 0.25, rel=0.03)


def test_the_kernel_is_each_noise_in_turn() -> None:
    """Against NumPy, with the levels that the kernel draws."""
    x = torch.rand(20, 1, 28, 28)
    noise = Noise(-0.5, 0.04, 0.2, 4.0)  # so strong that each clip matters
    torch.manual_seed(7)
    found = noise(x)[:, 0].movedim(0, -1).numpy()
    torch.manual_seed(7)
    levels = kernels.levels(draw_keys(1).numpy().view(np.uint32), 3 * x.numel())
    drawn = levels.reshape(3, 28, 28, 20).astype(int) + LEVELS // 2
    clean, normal = x[:, 0].movedim(0, -1).numpy(), normal_levels()
    y = np.clip(clean + clean * 2.0 * normal[drawn[0]], 0, 1)
    y[drawn[1] < round(0.1 * LEVELS)] = 0
    y[drawn[1] >= LEVELS - round(0.1 * LEVELS)] = 1
    y = np.clip(y - 0.5 + 0.2 * normal[drawn[2]], 0, 1)
    np.testing.assert_allclose(found, y, atol=1e-6)


def test_no_image_is_no_error(way: str) -> None:
    assert TEXT(grey()[:0]).shape == (0, 1, 28, 28)


def test_range_and_purity(way: str) -> None:
    x = grey()
    y = TEXT(x)
    assert (x == 0.5).all()
    assert y.min() == 0
    assert y.max() == 1


def test_a_seed_fixes_the_draw_and_no_noise_is_the_image() -> None:
    images = torch.randint(0, 256, (1500, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(corrupted(images, TEXT, 3), corrupted(images, TEXT, 3))
    assert not torch.equal(corrupted(images, TEXT, 3), corrupted(images, TEXT, 4))
    none = Noise(0.0, 0.0, 0.0, 0.0)
    torch.testing.assert_close(corrupted(images, none, 3), images.float() / 255)

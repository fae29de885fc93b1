"""Noise: the moments that it says, the range, and the same draw for the same seed."""

import pytest
import torch

from latent_digits.corruption import Noise, corrupted

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

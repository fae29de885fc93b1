"""Noise: the moments that it says, the range, and the same draw for the same seed."""

import pytest
import torch

from latent_digits.corruption import Noise, corrupted

TEXT = Noise(gaussian_mean=0.5, gaussian_variance=0.3, salt_pepper=0.05, speckle_variance=0.5)


def grey(level: float = 0.5) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.full((200, 1, 28, 28), level)


def test_gaussian_takes_a_variance() -> None:
    noise = Noise(0.0, 0.0025, 0.0, 0.0)
    y = noise.gaussian(grey())
    assert y.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert y.var().item() == pytest.approx(0.0025, rel=0.02)


def test_speckle_scales_with_the_pixel() -> None:
    noise = Noise(0.0, 0.0, 0.0, 0.01)
    assert noise.speckle(grey(0.4)).var().item() == pytest.approx(0.01 * 0.16, rel=0.02)
    assert not noise.speckle(grey(0.0)).any()


def test_salt_and_pepper_share_the_pixels_equally() -> None:
    y = Noise(0.0, 0.0, 0.1, 0.0).salt_and_pepper(grey())
    for extreme in (0, 1):
        assert (y == extreme).float().mean().item() == pytest.approx(0.05, abs=2e-3)
    assert ((y == 0) | (y == 1) | (y == 0.5)).all()


def test_range_and_purity() -> None:
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

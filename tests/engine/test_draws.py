"""Draws follow the memory of what they are drawn for, and are what their sources say."""

import numpy as np
import pytest
import torch

from latent_digits.engine import kernels
from latent_digits.engine.draws import LEVELS, Share, draw_levels, seed_draws, sliced


def test_philox_gives_its_authors_known_answer() -> None:
    columns = np.empty((4, 3), np.uint32)
    kernels.philox(np.zeros(2, np.uint32), columns)
    assert [f"{word:08x}" for word in columns[:, 0]] == [
        "6627e8d5",
        "e169c58d",
        "bc57ac4c",
        "9b00dbd8",
    ]
    assert len(np.unique(columns)) == 12


@pytest.mark.usefixtures("way")
def test_levels_are_uniform_and_follow_from_the_seed() -> None:
    torch.manual_seed(0)
    levels = draw_levels((1001, 999), torch.zeros(0))
    assert levels.shape == (1001, 999)
    counts = torch.bincount(levels.view(-1).int() + LEVELS // 2 >> 8, minlength=256)
    expected = levels.numel() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 256 + 5 * (2 * 256) ** 0.5
    assert not torch.equal(levels, draw_levels((1001, 999), torch.zeros(0)))
    torch.manual_seed(0)
    assert torch.equal(levels, draw_levels((1001, 999), torch.zeros(0)))


def test_a_seed_is_torchs_and_costs_no_look_at_other_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(2**63 - 1)
    expected = torch.rand(5)
    monkeypatch.delattr(torch, "manual_seed")
    seed_draws(2**63 - 1, torch.device("cpu"))
    assert torch.equal(torch.rand(5), expected)


def test_a_slice_lies_within_its_batch() -> None:
    with sliced(Share(before=2, batch=4)), pytest.raises(ValueError, match="3 images after 2"):
        draw_levels((1, 3), torch.zeros(0))

"""The fast layers are PyTorch's own, in values and in every gradient."""

import pytest
import torch
from torch import nn

from latent_digits.engine.convolutions import Conv2d, ConvTranspose2d
from latent_digits.engine.stack import Layer, Stack


def compare(ours: Layer, theirs: nn.Module, x: torch.Tensor) -> None:
    """Same output and same gradients of input, weight and bias, up to float rounding."""
    ours.load_state_dict(theirs.state_dict())
    expected_input, actual_input = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, actual = theirs(expected_input), Stack(ours)(actual_input)
    torch.testing.assert_close(actual, expected)
    gradient = torch.rand_like(expected)
    expected.backward(gradient)
    actual.backward(gradient)
    torch.testing.assert_close(actual_input.grad, expected_input.grad)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(28, 28), (14, 14), (7, 7), (3, 3), (9, 4)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(
    ("channels", "out", "batch"), [(1, 3, 5), (2, 3, 1), (2, 3, 5), (2, 9, 100)]
)
@pytest.mark.usefixtures("way")
def test_conv2d_equals_pytorch(
    size: tuple[int, int], padding: int, channels: int, out: int, batch: int
) -> None:
    torch.manual_seed(0)
    theirs = nn.Conv2d(channels, out, 3, stride=2, padding=padding)
    compare(Conv2d(channels, out, padding), theirs, torch.rand(batch, channels, *size))


@pytest.mark.parametrize("size", [(14, 14), (7, 7), (3, 3), (1, 1), (5, 2)])
@pytest.mark.parametrize(("padding", "extra"), [(0, 0), (1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.usefixtures("way")
def test_conv_transpose2d_equals_pytorch(
    size: tuple[int, int], padding: int, extra: int, channels: int
) -> None:
    torch.manual_seed(0)
    theirs = nn.ConvTranspose2d(3, channels, 3, stride=2, padding=padding, output_padding=extra)
    compare(ConvTranspose2d(3, channels, padding, extra), theirs, torch.rand(4, 3, *size))


def test_initial_values_are_pytorchs() -> None:
    torch.manual_seed(0)
    ours = nn.ModuleList([Conv2d(2, 3, 1), ConvTranspose2d(2, 3, 1, 1)])
    torch.manual_seed(0)
    theirs = nn.ModuleList([nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3)])
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_transposed_convolution_makes_a_pixel_or_more() -> None:
    with pytest.raises(ValueError, match="takes what makes one pixel or more an image"):
        ConvTranspose2d(2, 3, padding=2, output_padding=0).step((2, 1, 1))
    with pytest.raises(
        ValueError, match="output_padding must be 0 or more and less than the stride"
    ):
        ConvTranspose2d(2, 3, padding=1, output_padding=2)

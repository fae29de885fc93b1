"""The fast layers are PyTorch's own, in values and in every gradient."""

import pytest
import torch
from torch import nn

from latent_digits.convolutions import Conv2d, ConvTranspose2d


def batch_last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(1, 2, 3, 0).contiguous()


def compare(ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> None:
    """Same output and same gradients of input, weight and bias, up to float rounding."""
    ours.load_state_dict(theirs.state_dict())
    expected_input, actual_input = x.clone().requires_grad_(), batch_last(x).requires_grad_()
    expected, actual = theirs(expected_input), ours(actual_input)
    torch.testing.assert_close(actual, batch_last(expected))
    gradient = torch.rand_like(expected)
    expected.backward(gradient)
    actual.backward(batch_last(gradient))
    assert expected_input.grad is not None
    torch.testing.assert_close(actual_input.grad, batch_last(expected_input.grad))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(28, 28), (14, 14), (7, 7), (3, 3), (9, 4)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("batch", [1, 5])
def test_conv2d_equals_pytorch(size: tuple[int, int], padding: int, batch: int) -> None:
    torch.manual_seed(0)
    theirs = nn.Conv2d(2, 3, 3, stride=2, padding=padding)
    compare(Conv2d(2, 3, padding), theirs, torch.rand(batch, 2, *size))


@pytest.mark.parametrize("size", [(14, 14), (7, 7), (3, 3), (1, 1), (5, 2)])
@pytest.mark.parametrize(("padding", "extra"), [(0, 0), (1, 1), (1, 0), (0, 1)])
def test_conv_transpose2d_equals_pytorch(size: tuple[int, int], padding: int, extra: int) -> None:
    torch.manual_seed(0)
    theirs = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=padding, output_padding=extra)
    compare(ConvTranspose2d(3, 2, padding, extra), theirs, torch.rand(4, 3, *size))


def test_gradients_of_the_first_layer_need_no_input_gradient() -> None:
    layer = Conv2d(1, 2, padding=1)
    layer(torch.rand(1, 4, 4, 3)).sum().backward()
    assert layer.weight.grad is not None

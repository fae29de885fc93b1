"""What the sizes of a network's layers follow from; known without torch."""

from dataclasses import dataclass

KERNEL, STRIDE = 3, 2


@dataclass(frozen=True)
class Architecture:
    """What layers' sizes follow from; as it stands, the original report's.

    The images' side in pixels, the channels that the three convolutions make, and the units of the
    linear layer before the latents.
    """

    size: int = 28
    channels: tuple[int, int, int] = (8, 16, 32)
    units: int = 64

    @property
    def paddings(self) -> tuple[int, int, int]:
        """Those of the three convolutions.

        The report's third has none: of an odd side, as of its 7, it sees every row. Of an even one
        it would leave out the last.
        """
        third = -(-self.size // 4)  # the side that it is given
        return 1, 1, 1 - third % 2

    @property
    def sides(self) -> list[int]:
        """Those of the image and of what each convolution makes of it: 28, 14, 7, 3."""
        sides = [self.size]
        for padding in self.paddings:
            sides.append((sides[-1] + 2 * padding - KERNEL) // STRIDE + 1)
        return sides

    @property
    def features(self) -> int:
        """What the last convolution makes, flattened: 288."""
        return self.channels[-1] * self.sides[-1] ** 2


REPORTS = Architecture()

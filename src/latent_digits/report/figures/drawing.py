"""A figure before it is drawn, what figures read, and how one becomes files."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from PIL.Image import Dither, Quantize

from latent_digits.console import UserError
from latent_digits.data.storage import Arrays, Row, write_bytes, write_text
from latent_digits.report.dataset_info import DatasetInfo
from latent_digits.report.figures.style import STYLE

ARRAYS = "data/arrays.safetensors"
SVG_DPI = 100  # of what is pixels in an SVG: the dots of a scatter plot


@dataclass(frozen=True)
class Study:
    """All that figures read: arrays, facts and the claims' evidence of `evaluate`, and tables."""

    arrays: Arrays
    facts: Row
    hparams: Row
    trials: list[Row]
    histories: dict[str, list[Row]]
    evidence: Row
    beta: float  # weight of the KL divergence in the VAE's loss
    max_points: int  # of a scatter plot

    def __getitem__(self, name: str) -> np.ndarray:
        """An array. Raises UserError where there is none of this name."""
        return self.of(self.arrays, name)

    def fact(self, name: str) -> Row:
        return self.of(self.facts, name)

    @cached_property
    def dataset(self) -> DatasetInfo:
        return DatasetInfo.of(self.fact("data"))

    def seen(self, in_mnist: str, elsewhere: str = "") -> str:
        """What we have seen in a figure of MNIST, and what may be said of other images unseen."""
        return in_mnist if self.dataset.is_mnist else elsewhere

    def of(self, found: Mapping[str, Any], name: str, file: str = ARRAYS) -> Any:
        if name not in found:
            raise UserError(
                f"{file} has no {name!r}, which a figure shows; `dvc repro evaluate` makes it."
            )
        return found[name]


@dataclass(frozen=True)
class Drawing:
    """A figure: the name of its files, its caption, what is to be seen, and how to draw it.

    `draw` is called within STYLE.
    """

    name: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


def draw(folder: Path, drawing: Drawing, dpi: int) -> list[Path]:
    """Write the figure as PNG and SVG; equal drawings give equal bytes, which name no program."""
    png, svg = (folder / f"{drawing.name}.{kind}" for kind in ("png", "svg"))
    pixels, text = BytesIO(), StringIO()
    rc: Any = {**STYLE, "svg.hashsalt": drawing.name}
    with matplotlib.rc_context(rc):
        figure = drawing.draw()
        figure.savefig(pixels, format="png", dpi=dpi)
        figure.set_layout_engine("none")  # the SVG has the same, and need not find it again
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", dpi=SVG_DPI, metadata=nothing)
    write_bytes(png, in_few_colours(pixels.getvalue()))
    write_text(svg, for_a_page(text.getvalue(), drawing))
    return [png, svg]


def in_few_colours(png: bytes) -> bytes:
    """The picture in 256 colours: a third of the bytes."""
    found = BytesIO()
    with Image.open(BytesIO(png)) as image:
        opaque = image.getextrema()[-1] == (255, 255)
        method = Quantize.MAXCOVERAGE if opaque else Quantize.FASTOCTREE  # which alone knows alpha
        # Few hues among many greys keep their own colours, which k-means refines where there are
        # more than can be kept, until a round moves less than a hundredth of the pixels.
        more = image.getcolors(256) is None
        moved = image.width * image.height // 100 if more else 0
        fewer = image.convert("RGB" if opaque else "RGBA").quantize(
            256, method, kmeans=moved, dither=Dither.NONE
        )
        fewer.save(found, "png", optimize=True)
    return found.getvalue()


def for_a_page(svg: str, drawing: Drawing) -> str:
    """The SVG fit to stand in an HTML page beside others: its ids begin with the figure's name, its
    style is of itself alone, and its label says what is to be seen.
    """
    root = svg[svg.index("<svg") :]
    named = set(re.findall(r'(?:href="#|url\(#)([^")]+)', root))

    def own(found: re.Match[str]) -> str:
        return f' id="{drawing.name}-{found[1]}"' if found[1] in named else ""

    def smaller(found: re.Match[str]) -> str:
        return base64.b64encode(in_few_colours(base64.b64decode(found[0]))).decode()

    root = re.sub(r' id="([^"]*)"', own, root)
    root = re.sub(r'(href="#|url\(#)', rf"\1{drawing.name}-", root)
    root = re.sub(r'(?<=data:image/png;base64,)[^"]+', smaller, root)
    root = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", root, count=1, flags=re.DOTALL)
    says = f'role="img" aria-label={quoteattr(drawing.alt)}'
    style = 'style="stroke-linejoin: round; stroke-linecap: butt"'  # matplotlib's, of all elements
    return root.replace("<svg ", f"<svg {says} {style} ", 1)

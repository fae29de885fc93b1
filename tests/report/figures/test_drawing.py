"""How a figure becomes files."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from latent_digits.report.figures.drawing import Drawing, for_a_page, in_few_colours

SVG = """<?xml version="1.0"?>
<!DOCTYPE svg>
<svg width="9">
 <defs>
  <style type="text/css">*{stroke-linejoin: round}</style>
 </defs>
 <defs><path id="m1"/></defs><g id="axes_1"><use xlink:href="#m1"/></g>
</svg>"""


def png(pixels: np.ndarray) -> bytes:
    found = BytesIO()
    Image.fromarray(pixels).save(found, "png")
    return found.getvalue()


@pytest.mark.parametrize("alpha", [255, 100])
def test_few_colours_look_the_same(alpha: int) -> None:
    """Those that can all be kept are; alpha is kept to a few steps."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.stack([grey, grey, grey, np.full_like(grey, alpha)], axis=-1)
    with Image.open(BytesIO(in_few_colours(png(pixels)))) as image:
        assert image.mode == "P"
        found = np.asarray(image.convert("RGBA"), int)
    assert np.abs(found - pixels).max() <= (0 if alpha == 255 else 16)


def test_a_hue_among_more_colours_than_can_be_kept_stays_its_own() -> None:
    grey, tint = np.arange(1000) % 250, np.arange(1000) // 250
    pixels = np.stack([grey, grey, grey + tint, np.full_like(grey, 255)], axis=-1)
    pixels = pixels.astype(np.uint8).reshape(20, 50, 4)
    pixels[0, :3] = 255, 0, 255, 255
    with Image.open(BytesIO(in_few_colours(png(pixels)))) as image:
        errors = np.abs(np.asarray(image.convert("RGBA"), int) - pixels)
    assert not errors[0, :3].any()
    assert errors.max() == 1
    assert errors.mean() < 0.32  # 0.36 without a round of k-means


def test_ids_style_and_label_are_the_figures_own() -> None:
    text = for_a_page(SVG, Drawing("fig", "caption", 'a "5" & more', lambda: None))  # type: ignore[arg-type, return-value]
    assert text.startswith('<svg role="img" aria-label=\'a "5" &amp; more\' style="stroke')
    assert '<path id="fig-m1"/>' in text
    assert 'xlink:href="#fig-m1"' in text
    assert "axes_1" not in text  # an id that nothing names
    assert "<style" not in text

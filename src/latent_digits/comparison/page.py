"""A comparison as one HTML page that needs nothing else: for a browser, offline."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from latent_digits.comparison.markdown import ARROWS, ENDS, MEANS, change, class_of, number, plural
from latent_digits.comparison.pictures import Picture
from latent_digits.comparison.values import SYMBOLS, Comparison, Curve, MetricRow, probability

TEMPLATE = "page.html.j2"
PLOT_WIDTH, PLOT_HEIGHT = 360.0, 150.0
SPAN = 3.0  # a row's plot shows so many tolerances to each side
PICTURES = {
    "fig02_reconstructions.png": "Autoencoder: validation images and reconstructions",
    "fig04_denoising.png": "Denoiser: noisy and denoised",
    "fig05_vae_reconstructions.png": "VAE: validation images and reconstructions",
    "fig06_interpolation.png": "Autoencoder and VAE: from one image to another",
}


def page(
    comparison: Comparison,
    figures: Mapping[str, tuple[Path, Path]],
    worsened: Sequence[Picture] = (),
) -> str:
    """The page; `figures` are the committed pictures of both sides, by name of file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "change": change}
    return environment.get_template(TEMPLATE).render(
        one=comparison,
        gated=[row for row in comparison.metrics if row.tolerance is not None],
        rest=[row for row in comparison.metrics if row.tolerance is None],
        symbols=SYMBOLS,
        arrows=ARROWS,
        gate=ENDS[comparison.gate.exit],
        means=MEANS if max(comparison.base.seeds, comparison.head.seeds) > 1 else "",
        seeds=[plural(side.seeds, "seed") for side in (comparison.base, comparison.head)],
        class_of=class_of,
        interval=interval,
        lines=lines,
        probability=probability,
        size=(PLOT_WIDTH, PLOT_HEIGHT),
        pictures={one.number: one.images for one in worsened},
        figures=[
            (title, *(embedded(path) for path in figures[name]))
            for name, title in PICTURES.items()
            if name in figures
        ],
    )


def interval(row: MetricRow) -> dict[str, float] | None:
    """Where a row's plot has its marks, in % of its width; the base in the middle, worse right."""
    if row.change is None or not row.tolerance or row.better is None:
        return None
    sign = 1.0 if row.better == "lower" else -1.0

    def place(value: float) -> float:
        share = sign * value / (SPAN * row.tolerance) if row.tolerance else 0.0
        return 50 + 48 * max(-1.0, min(1.0, share))

    ends = (row.change, row.change) if row.low is None or row.high is None else (row.low, row.high)
    low, high = sorted(map(place, ends))
    return {"low": low, "high": high, "at": place(row.change), "limit": 50 + 48 / SPAN}


def lines(curve: Curve) -> dict[str, str]:
    """The two curves as points of SVG polylines, on one scale; the first epochs may be cut off."""
    values = [value for side in (curve.base, curve.head) for value in side] or [0.0]
    longest = max(len(curve.base), len(curve.head))
    low = min(values)
    starts = [side[min(2, len(side) - 1)] for side in (curve.base, curve.head) if side]
    start = max(starts, default=low)
    span = max(start - low, 1e-12)

    def points(side: list[float]) -> str:
        return " ".join(
            f"{PLOT_WIDTH * index / max(1, longest - 1):.1f},"
            f"{PLOT_HEIGHT * (1 - 0.9 * min(1.1, (value - low) / span)):.1f}"
            for index, value in enumerate(side)
        )

    return {
        "base": points(curve.base),
        "head": points(curve.head),
        "low": number(low),
        "high": number(low + span),
        "epochs": str(longest),
    }


def embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

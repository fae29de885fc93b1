"""How the error goes with the number of latents, and with the number of labels.

The numbers are those that the claims are judged by, with their intervals over test images.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.ticker as ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latent_digits.data.storage import Row
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import (
    BLUE,
    MUTED,
    ORANGE,
    WIDTH,
    End,
    log_scale,
    name_ends,
    percent,
)
from latent_digits.report.values import FIXED

WAYS = {
    "untrained": ("untrained\nencoder", MUTED, "s"),
    "pretrained": ("pretrained encoder", BLUE, "o"),
    "end_to_end": ("end to end", ORANGE, "^"),
}


class Trend(NamedTuple):
    """Means with their intervals at some numbers of something, in a colour and with a mark."""

    name: str
    colour: str
    mark: str
    points: Mapping[int, Row]  # as in claims.json
    scale: float = 1.0
    error: bool = False  # of a share: one minus it

    def at(self, number: int, bound: str = "value") -> float:
        value = self.points[number][bound]
        return self.scale * ((1 - value) or float("nan") if self.error else value)

    @property
    def drawn(self) -> list[int]:
        """The numbers in their order, but for those whose error is 0."""
        return [number for number in sorted(self.points) if not math.isnan(self.at(number))]

    @property
    def end(self) -> End:
        return End(self.name, self.colour, self.drawn[-1], self.at(self.drawn[-1]))


def counted(number: float) -> str:
    return f"{number:,.0f}".replace(",", FIXED)


def trends(shown: Sequence[Trend], along: str, unit: str) -> Figure:
    """A line a trend on logarithmic axes, each named at its end."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    ax = figure.subplots()
    for trend in shown:
        draw(ax, trend)
    ax.set(xlabel=along, ylabel=unit, xscale="log")
    numbers = sorted({number for trend in shown for number in trend.points})
    ax.xaxis.set_major_locator(ticker.FixedLocator(numbers))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: counted(value)))
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    log_scale(ax)
    name_ends(ax, [trend.end for trend in shown if trend.drawn])
    return figure


def draw(ax: Axes, trend: Trend) -> None:
    numbers = trend.drawn
    values = [trend.at(number) for number in numbers]
    reach = [[abs(trend.at(n, bound) - trend.at(n)) for n in numbers] for bound in ("low", "high")]
    if trend.error:
        reach.reverse()
    ax.errorbar(numbers, values, reach, color=trend.colour, marker=trend.mark, ms=5, lw=1.5)


def latents(study: Study) -> Drawing:
    """The error of autoencoders and of PCA by the number of latents."""
    learned, linear = (
        Trend(name, colour, mark, points_of(study, f"mse/{key}/(?)"))
        for name, colour, mark, key in (
            ("autoencoder", BLUE, "o", "ae"),
            ("PCA", MUTED, "s", "pca"),
        )
    )
    numbers = sorted(learned.points)
    but = "" if study.hparams["latent_dim"] == 2 else " (Z = 2 has a recipe of its own)"
    of_both = [
        f"{n} latents {learned.at(n):.4f}"
        + (f" and {linear.at(n):.4f}" if n in linear.points else "")
        for n in numbers
    ]
    return Drawing(
        "fig15_latents",
        f"Test error by the number of latents: autoencoders that differ in it alone{but}, and as "
        "many principal components. Bars are 95 % intervals over test images.",
        f"Two lines. The MSE of the autoencoder, and of PCA: with {'; with '.join(of_both)}.",
        lambda: trends([linear, learned], "latents", "mean squared error"),
    )


def labels(study: Study) -> Drawing:
    """The error of the classifiers by the number of labels that they learn from."""
    shown = [
        Trend(name, colour, mark, points_of(study, f"labels/(?)/{way}"), 100, error=True)
        for way, (name, colour, mark) in WAYS.items()
    ]
    told = [
        f"with {counted(n)} labels "
        + ", ".join(percent(1 - one.points[n]["value"], 1) for one in shown)
        for n in sorted(shown[0].points)
    ]
    return Drawing(
        "fig16_labels",
        "Test error of the classifiers by the number of labelled images that they learn from, the "
        "same for all three. The encoder was pretrained on all images, without "
        "labels. Bars are 95 % intervals over test images.",
        "Three lines. Errors on the untrained encoder, on the pretrained one and end to end: "
        f"{'; '.join(told)}.",
        lambda: trends(shown, "labels", "1 − accuracy (%)"),
    )


def points_of(study: Study, form: str) -> dict[int, Row]:
    """What claims.json has under ids of a form such as "mse/ae/(?)", by the number there.

    Raises UserError where there is nothing.
    """
    before, after = form.split("(?)")
    found = {
        int(name.removeprefix(before).removesuffix(after)): value
        for name, value in study.evidence.items()
        if name.startswith(before) and name.endswith(after)
    }
    return found or study.of(study.evidence, form, "reports/claims.json")

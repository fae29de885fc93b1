"""The report as Markdown: a Jinja2 template filled with the study's own numbers."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from latent_digits.published import COMPARED, Published
from latent_digits.storage import Row

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TEMPLATE = "report.md.j2"
STATES = ("complete", "pruned", "collapsed", "failed")


def render_report(
    metrics: Row, design: Row, trials: list[Row], histories: dict[str, list[Row]]
) -> str:
    """The text of `reports/report.md`. A value that the template names but nobody made raises."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown of our own numbers, not HTML of a visitor's)
    )
    environment.filters["value"] = value
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    states = [row["state"] for row in trials]
    return environment.get_template(TEMPLATE).render(
        metrics=metrics,
        design=design,
        trials=len(trials),
        states={state: states.count(state) for state in STATES},
        epochs={name: len(history) for name, history in histories.items()},
        kept={
            name: int(min(history, key=lambda row: row["val_loss"])["epoch"])
            for name, history in histories.items()
        },
        compared=[comparison(metrics, one) for one in COMPARED],
    )


def comparison(metrics: Row, published: Published) -> Row:
    """A row of the table: the report, its weights measured, this run with its interval."""
    group, name = published.key.split(".")
    found = metrics[group][name]
    low, high = metrics[group].get(f"{name}_low"), metrics[group].get(f"{name}_high")
    return {
        "name": published.name,
        "text": published.text or "–",
        "measured": published.measured or "–",
        "run": value(found),
        "interval": f"{value(low)} to {value(high)}" if low is not None else "–",
        "verdict": verdict(found, low, high, published),
    }


def verdict(found: float, low: float | None, high: float | None, published: Published) -> str:
    """How the run stands to the author's weights; within the interval nothing is claimed."""
    if published.measured is None or published.better is None:
        return "–"
    theirs = float(published.measured)
    if low is not None and high is not None and low <= theirs <= high:
        return "no clear difference"
    if found == theirs:
        return "equal"
    higher = found > theirs
    return "better" if higher == (published.better == "higher") else "worse"


def value(number: Any) -> str:
    """Four significant digits, or the whole number that it is."""
    if isinstance(number, int):
        return str(number)
    mantissa, _, exponent = f"{number:.4g}".partition("e")
    return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else mantissa

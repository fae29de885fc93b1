"""The generated report as Markdown: a Jinja2 template filled with the study's own numbers."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from latent_digits.console import UserError
from latent_digits.data.storage import Row
from latent_digits.report.published import COMPARED, Published

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TEMPLATE = "report.md.j2"
SHORT = 12  # epochs, beside all
STATES = ("complete", "pruned", "degenerate", "failed")


def render_report(
    metrics: Row, hparams: Row, trials: list[Row], histories: dict[str, list[Row]], ablation: Row
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
    environment.filters["percent"] = percent
    states = [row["state"] for row in trials]
    kept = {
        name: min(history, key=lambda row: row["val_loss"]) for name, history in histories.items()
    }
    measured = list(ablation["rows"].values())
    untrained = [row["val_accuracy"] for row in measured if "val_accuracy" in row]
    return environment.get_template(TEMPLATE).render(
        metrics=metrics,
        hparams=hparams,
        trials=len(trials),
        states={state: states.count(state) for state in STATES},
        epochs={name: len(history) for name, history in histories.items()},
        lost=sum(
            row["live_units"] is not None and row["live_units"] < row["latent_dim"]
            for row in trials
            if row["state"] == "complete"
        ),
        kept={name: int(row["epoch"]) for name, row in kept.items()},
        dead={name: dead(row) for name, row in kept.items()},
        ablation=ablation,
        cells=cells([row for row in measured if "val_mse" in row]),
        untrained=spread(untrained, lambda share: f"{100 * share:.2f}"),
        seeds=len(untrained),
        short=SHORT,
        compared=[comparison(metrics, one) for one in COMPARED],
    )


def dead(row: Row) -> str:
    """The shares of dead units in a history's row: "encoder 0, 3 %; decoder 6 %"."""
    parts: dict[str, list[str]] = {}
    for name, share in row.items():
        if name.startswith("dead_"):
            part = name.removeprefix("dead_").rpartition("_")[0]
            parts.setdefault(part.replace("_", " "), []).append(f"{100 * share:.0f}")
    return "; ".join(f"{part} {', '.join(shares)} %" for part, shares in parts.items())


def cells(rows: list[Row]) -> list[Row]:
    """The ablation's trainings by cell: mean and standard deviation over their seeds."""
    found: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row["initial"], row["warmup"]), []).append(row)
    if len({len(of_cell) for of_cell in found.values()}) > 1:
        raise UserError("reports/ablation.json is not complete; `make ablation` goes on with it.")
    return [
        {
            "initial": initial,
            "warmup": warmup,
            "short": spread([row["val_mse"][:SHORT][-1] for row in of_cell]),
            "without": spread([row["val_mse_without_average"][-1] for row in of_cell]),
            "mse": spread([row["val_mse"][-1] for row in of_cell]),
            "dead": [
                spread([row["dead"][layer] for row in of_cell], lambda share: f"{100 * share:.0f}")
                for layer in ("encoder_4", "decoder_2")
            ],
        }
        for (initial, warmup), of_cell in found.items()
    ]


def spread(values: list[float], text: Callable[[float], str] = "{:.5f}".format) -> str:
    """Mean and standard deviation over seeds."""
    return f"{text(fmean(values))} ± {text(stdev(values))}" if len(values) > 1 else "–"


def comparison(metrics: Row, published: Published) -> Row:
    """A row of the table: the original report, its weights measured, this run with its interval."""
    group, name = published.key.split(".")
    found = metrics[group][name]
    low, high = metrics[group].get(f"{name}_low"), metrics[group].get(f"{name}_high")
    text = percent if name.endswith("accuracy") else value
    return {
        "name": published.name,
        "text": published.text or "–",
        "measured": published.measured or "–",
        "run": text(found),
        "interval": f"{text(low)} to {text(high)}" if low is not None else "–",
        "verdict": verdict(found, low, high, published),
    }


def verdict(found: float, low: float | None, high: float | None, published: Published) -> str:
    """How the run stands to the author's weights; within the interval nothing is claimed."""
    theirs = published.of_weights
    if theirs is None or published.better is None:
        return "–"
    if low is not None and high is not None and low <= theirs <= high:
        return "no clear difference"
    if found == theirs:
        return "equal"
    higher = found > theirs
    return "better" if higher == (published.better == "higher") else "worse"


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def value(number: Any) -> str:
    """Four significant digits, or the whole number that it is."""
    if isinstance(number, int):
        return str(number)
    mantissa, _, exponent = f"{number:.4g}".partition("e")
    return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else mantissa

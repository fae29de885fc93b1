"""What a comparison says, as plain values: `reports/compare.json`, from which its pages are made.

The models are strict, since a page is also made from a file that a stranger's pull request wrote.
"""

import unicodedata
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LONGEST = 300  # characters of a text


def shown(text: object) -> object:
    """A text on one line, without signs that steer a terminal or turn its direction, and cut."""
    if not isinstance(text, str):
        return text
    line = " ".join(text.split())
    visible = "".join(one for one in line if unicodedata.category(one)[0] != "C")
    return visible if len(visible) <= LONGEST else f"{visible[: LONGEST - 1]}…"


Text = Annotated[str, BeforeValidator(shown), Field(max_length=LONGEST)]
Few = Annotated[list[Text], Field(max_length=100)]
Better = Literal["lower", "higher"]
Verdict = Literal[
    "same", "better", "worse", "changed", "unclear", "not comparable", "new", "gone", "not finite"
]
SYMBOLS: dict[Verdict, str] = {
    "same": "=",
    "better": "better",
    "worse": "worse",
    "changed": "≠",  # beyond noise, where neither direction is better
    "unclear": "~",
    "not comparable": "×",
    "new": "new",
    "gone": "gone",
    "not finite": "!",
}


class Value(BaseModel):
    """A part of a comparison: strict types, unknown keys refused, immutable, finite."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Side(Value):
    """One of the two revisions. `seeds` is how many trainings its means are over."""

    revision: Text
    commit: Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]  # "" outside of git
    subject: Text
    changes: bool  # that no commit has
    seeds: Annotated[int, Field(ge=0, le=100_000)]
    test_images: Text  # the test set's digest; "" where unknown


class MetricRow(Value):
    """A headline on both sides, in its unit: means over seeds where a side has several.

    `low` to `high` is the 95 % interval of the change, None without the noise of seeds. `apart` are
    the facts of how it is measured that differ.
    """

    name: Text
    title: Text
    better: Better | None
    base: float | None
    head: float | None
    change: float | None
    low: float | None
    high: float | None
    tolerance: float | None  # None: not gated
    beyond: bool  # worse than the tolerance even at the kind end of the interval
    verdict: Verdict
    apart: Few
    note: Text


class Difference(Value):
    """Something that differs: a parameter, or another metric. None: it is not there."""

    name: Text
    base: Text | None
    head: Text | None


class StageRow(Value):
    """A stage whose entry in the lock differs, why, and whether its outputs are the same anyway."""

    stage: Text
    causes: Few
    same_bytes: bool


class Stale(Value):
    """A stage whose results are not those of the tree, and why."""

    stage: Text
    causes: Few


class ClassRow(Value):
    """One class's test images under one headline: their mean on both sides, and a p-value."""

    name: Text
    label: Annotated[int, Field(ge=0)]
    images: int
    base: float
    head: float
    p: float


class Image(Value):
    """A test image that became worse: its place in the test set, and its value on both sides.

    Images of a data set without labels have none.
    """

    name: Text
    index: int
    label: int | None
    base: float
    head: float


class Curve(Value):
    """The validation loss of a training by epoch, on both sides."""

    name: Text
    base: Annotated[list[float], Field(max_length=10_000)]
    head: Annotated[list[float], Field(max_length=10_000)]


class Gate(Value):
    """How `make gate` ends: 0 pass, 1 worse, 2 stale, 3 not comparable, and why.

    `neutral` is that it cannot say for a reason that lies in the base alone.
    """

    exit: Annotated[int, Field(ge=0, le=3)]
    neutral: bool
    reasons: Few
    changes: list[Difference]  # of the gate itself


class Comparison(Value):
    """All of it, in the order of the page."""

    sentence: Text
    base: Side
    head: Side
    notes: Few
    stale: list[Stale]
    gate: Gate
    metrics: list[MetricRow]
    parameters: list[Difference]
    stages: list[StageRow]
    others: list[Difference]
    classes: list[ClassRow]
    worsened: list[Image]
    curves: list[Curve]


def probability(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"

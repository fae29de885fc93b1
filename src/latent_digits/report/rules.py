"""What a claim's rule is made of: intervals, and the verdicts that they allow.

A rule names its margin beforehand: what is not larger than that does not matter, however sure it
is. `supported` needs a whole 95 % interval beyond the margin, `contradicted` a whole one short of
it, and between them a claim is `undecided`.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev, variance
from typing import Literal, NamedTuple

Verdict = Literal["supported", "contradicted", "undecided", "not tested"]
# Student's t, the 97.5 % quantile for 1 to 10 degrees of freedom. The last one stands for more,
# which errs towards "undecided".
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


class Interval(NamedTuple):
    """A mean with its 95 % interval: of no width where nothing is drawn, of any where it is not
    known how much a number would move.
    """

    value: float
    low: float
    high: float


def around(value: float, reach: float) -> Interval:
    return Interval(value, value - reach, value + reach)


def reach(found: Interval) -> float:
    """Half the width."""
    return (found.high - found.low) / 2


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean over seeds with Student's interval; of at least two."""
    error = stdev(values) / math.sqrt(len(values))
    return around(fmean(values), student(len(values) - 1) * error)


def between_seeds(one: Sequence[float], other: Sequence[float]) -> Interval:
    """The mean of one less that of the other, as many values, with Student's interval.

    The noise of both is pooled and a seed is no pair, since models draw from streams of their own.
    """
    error = math.sqrt((variance(one) + variance(other)) / len(one))
    return around(fmean(one) - fmean(other), student(2 * len(one) - 2) * error)


def with_seeds(images: Interval, seeds: Interval) -> Interval:
    """The mean over seeds, unsure by both; by seeds alone where that over images is not known."""
    both = math.hypot(reach(images), reach(seeds))
    return around(seeds.value, both if math.isfinite(both) else reach(seeds))


def student(freedom: int) -> float:
    """The reach of a 95 % interval in standard errors."""
    return T[min(freedom, len(T)) - 1]


def above(found: Interval, bar: float) -> Verdict:
    """Superiority: the whole interval is above the bar."""
    if found.low > bar:
        return "supported"
    return "contradicted" if found.high <= bar else "undecided"


def below(found: Interval, bar: float) -> Verdict:
    return above(Interval(-found.value, -found.high, -found.low), -bar)


def within(found: Interval, margin: float) -> Verdict:
    """Equivalence: the whole interval lies between minus and plus the margin."""
    if -margin < found.low and found.high < margin:
        return "supported"
    outside = found.low >= margin or found.high <= -margin
    return "contradicted" if outside else "undecided"


def every(*verdicts: Verdict) -> Verdict:
    """Of a claim that says several things: one that is contradicted contradicts it."""
    for one in ("contradicted", "undecided"):
        if one in verdicts:
            return one
    return "supported"


def agreed(*verdicts: Verdict) -> Verdict:
    """Of one thing under several measures, of which none is the right one: what all of them say."""
    return verdicts[0] if len({*verdicts}) == 1 else "undecided"


def said(found: Interval, scale: float = 1.0, digits: int = 2, unit: str = "") -> str:
    """The mean and in brackets the interval, if it has one: "1.2 % (1.0 to 1.4)"."""
    value, low, high = (f"{scale * one:.{digits}f}" for one in found)
    known = 0 < reach(found) < math.inf
    return f"{value}{unit} ({low} to {high})" if known else f"{value}{unit}"


def percent(found: Interval) -> str:
    return said(found, 100, 1, " %")


def points(found: Interval) -> str:
    """A difference of two shares."""
    return said(found, 100, 1, " points")


def e3(found: Interval) -> str:
    """A thousand times the number, as errors are told."""
    return said(found, 1e3)

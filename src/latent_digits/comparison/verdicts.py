"""What became of each headline: a verdict that knows the noise of images and of seeds."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from latent_digits.catalogue import METRICS
from latent_digits.comparison.pairs import Pair, pair_of
from latent_digits.comparison.revisions import Revision, is_finite
from latent_digits.comparison.statistics import (
    LEVEL,
    Change,
    SeedNoise,
    change,
    error_over_images,
    holm,
    noise_of,
)
from latent_digits.comparison.values import MetricRow, Verdict, probability
from latent_digits.project.params import GateParams
from latent_digits.project.replicas import Replicas
from latent_digits.seeds import seed_for

TITLES = {one.name: one.title for one in METRICS}
FACTS = {
    "way": "another way of measuring",
    "on": "images of another set",
    "images": "other images",
    "noise": "other noise",
    "seed": "another draw of the noise",
    "variance": "another threshold",
}
UNKNOWN = "the noise of seeds is not known"
GateRules = Mapping[str, GateParams]


class Evidence(NamedTuple):
    """What is known of one headline before its family is looked at."""

    verdict: Verdict | None  # None: it follows from the change
    values: tuple[float | None, float | None]  # means over seeds
    change: Change | None = None
    apart: tuple[str, ...] = ()
    note: str = ""


def metric_rows(base: Revision, head: Revision, gate: GateRules) -> list[MetricRow]:
    """A row for each headline of either side or of the gate, those of the head first."""
    names = dict.fromkeys([*head.metrics, *base.metrics, *gate])
    found = {name: evidence(base, head, name) for name in names}
    corrected = holm(
        {
            name: one.change.p
            for name, one in found.items()
            if name in gate and one.verdict is None and one.change
        }
    )
    return [row(name, one, gate.get(name), corrected.get(name)) for name, one in found.items()]


def evidence(base: Revision, head: Revision, name: str) -> Evidence:
    before, after = base.metrics.get(name), head.metrics.get(name)
    values = before, after
    if after is None:
        note = "neither side has it" if before is None else "it is gone"
        return Evidence("gone", values, note=note)
    if before is None:
        return Evidence("new", values, note="the base has no such metric")
    pair = pair_of(base, head, name)
    if not is_finite(after) or (pair and not np.isfinite(pair.after).all()):
        note = "a training that diverged, or a file changed by hand"
        return Evidence("not finite", values, note=note)
    if not is_finite(before) or (pair and not np.isfinite(pair.before).all()):
        return Evidence("not comparable", values, note="the base's value is not finite")
    if apart := facts_apart(base, head, name):
        note = ", ".join(FACTS.get(fact, fact) for fact in apart)
        return Evidence("not comparable", values, apart=apart, note=note)
    if (base.of_images(name) is None) != (head.of_images(name) is None):
        return Evidence("not comparable", values, note="one side has no values per image")
    if before == after and (pair is None or np.array_equal(pair.before, pair.after)):
        return Evidence("same", values, Change(0.0, 0.0, 0.0, 1.0))
    return over_seeds(base, head, name, pair)


def facts_apart(base: Revision, head: Revision, name: str) -> tuple[str, ...]:
    """The facts of how a headline was measured that differ; all where one side has none."""
    before, after = (one.per_image[1].get(name) for one in (base, head))
    if not before or not after:
        return ("one side is from before it was kept how a metric is measured",)
    facts = dict.fromkeys([*FACTS, *before, *after])
    return tuple(one for one in facts if before.get(one) != after.get(one))


def over_seeds(base: Revision, head: Revision, name: str, pair: Pair | None) -> Evidence:
    """The change, with the noise of images and of seeds where that is known."""
    old, new = samples(base, head, name)
    values = float(np.mean(old)), float(np.mean(new))
    noise = noise_of(old, new) or borrowed(base, head, name)
    note = said_of_images(pair, name)
    if noise is None:
        unsure = Change(values[1] - values[0], -math.inf, math.inf, 1.0)
        return Evidence("unclear", values, unsure, note=f"{note}; {UNKNOWN}".lstrip("; "))
    images = error_over_images(pair.before, pair.after) if pair else 0.0
    return Evidence(None, values, change(old, new, images, noise), note=note)


def samples(base: Revision, head: Revision, name: str) -> tuple[list[float], list[float]]:
    """The values of both sides over seeds, the study's own first.

    Of one recipe the two alone, since what replicas there are would be both's.
    """
    alone = base.recipe == head.recipe
    return values_of(base, (base, head), name, alone), values_of(head, (head, base), name, alone)


def values_of(side: Revision, known: tuple[Revision, ...], name: str, alone: bool) -> list[float]:
    """A side's own value and, unless `alone`, those of replicas of its recipe in either's file."""
    others = (one.replicas for one in known)
    own = [one for one in others if one and side.recipe and one.recipe == side.recipe]
    replicas = own[0].values(name, without=side.seed) if own and not alone else []
    return [side.metrics[name], *replicas]


def borrowed(base: Revision, head: Revision, name: str) -> SeedNoise | None:
    """The noise of seeds as it was measured on another recipe, or on this one for a redraw."""
    loan = lender(base, head)
    return noise_of(loan.values(name)) if loan else None


def lender(base: Revision, head: Revision) -> Replicas | None:
    """Whose noise is taken where the sides have none: of their recipe, if there are any."""
    known = [one.replicas for one in (base, head) if one.replicas and len(one.replicas.rows) > 1]
    return min(known, key=lambda one: one.recipe not in (base.recipe, head.recipe), default=None)


def said_of_images(pair: Pair | None, name: str) -> str:
    """The weaker claim, of these two trainings alone."""
    if pair is None:
        return ""
    p = pair.change(seed_for(0, "comparison", name)).p
    if p < LEVEL:
        return f"these two trainings differ: {probability(p)} over images"
    return f"no difference of these two trainings shown: {probability(p)} over images"


def row(name: str, found: Evidence, rule: GateParams | None, corrected: float | None) -> MetricRow:
    """A headline's row; `corrected` is its p-value within the gated family."""
    moved = found.change
    verdict = found.verdict or verdict_of(moved, rule, corrected)
    base, head = (value if is_finite(value) else None for value in found.values)
    bounded = moved is not None and math.isfinite(moved.low)
    beyond = verdict == "not finite" and rule is not None
    if rule and moved and verdict == "worse":
        kind_end = min(worsening(rule, moved.low), worsening(rule, moved.high))
        beyond = kind_end > rule.tolerance
    return MetricRow(
        name=name,
        title=TITLES.get(name, name),
        better=rule.better if rule else None,
        base=base,
        head=head,
        change=moved.value if moved else None,
        low=moved.low if moved and bounded else None,
        high=moved.high if moved and bounded else None,
        tolerance=rule.tolerance if rule else None,
        beyond=beyond,
        verdict=verdict,
        apart=list(found.apart),
        note=found.note,
    )


def verdict_of(moved: Change | None, rule: GateParams | None, corrected: float | None) -> Verdict:
    if moved is None:
        raise ValueError("a verdict follows from a change")
    p = moved.p if corrected is None else corrected
    if not p < LEVEL:
        return "unclear"
    if rule is None:
        return "changed"
    return "worse" if worsening(rule, moved.value) > 0 else "better"


def worsening(rule: GateParams, value: float) -> float:
    """A change as how much worse it is."""
    return value if rule.better == "lower" else -value

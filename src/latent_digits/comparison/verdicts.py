"""What became of each headline: a verdict that knows the noise of images and of seeds."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from latent_digits.catalogue import METRICS
from latent_digits.comparison.gate import OTHER_IMAGES
from latent_digits.comparison.pairs import Pair, pair_of
from latent_digits.comparison.revisions import Revision, is_finite
from latent_digits.comparison.statistics import (
    LEVEL,
    Change,
    Noise,
    change,
    error_over_images,
    holm,
    noise_of,
)
from latent_digits.comparison.values import Better, MetricRow, Verdict, probability
from latent_digits.seeds import seed_for

TITLES = {one.name: one.title for one in METRICS}
FACTS = {
    "way": "another way of measuring",
    "images": OTHER_IMAGES,
    "noise": "other noise",
    "seed": "another draw of the noise",
    "variance": "another threshold",
}


class Rule(NamedTuple):
    """What a gate asks of a headline: its better direction, and how much worse it may become."""

    better: Better
    tolerance: float

    def worsening(self, value: float) -> float:
        """A change as how much worse it is."""
        return value if self.better == "lower" else -value


class Evidence(NamedTuple):
    """What is known of one headline before its family is looked at."""

    verdict: Verdict | None  # None: it follows from the change
    change: Change | None
    note: str


def rules_of(revision: Revision) -> dict[str, Rule]:
    """The gate in the parameters of a revision, by headline."""
    gate = revision.study.params.get("gate") or {}
    return {name: Rule(one["better"], float(one["tolerance"])) for name, one in gate.items()}


def metric_rows(base: Revision, head: Revision, rules: Mapping[str, Rule]) -> list[MetricRow]:
    """A row for each headline of either side, those of the head first."""
    names = [*head.metrics, *(name for name in base.metrics if name not in head.metrics)]
    found = {name: evidence(base, head, name) for name in names}
    corrected = holm(
        {
            name: one.change.p
            for name, one in found.items()
            if name in rules and one.verdict is None and one.change
        }
    )
    return [
        row(base, head, name, found[name], rules.get(name), corrected.get(name)) for name in names
    ]


def evidence(base: Revision, head: Revision, name: str) -> Evidence:
    if name not in base.metrics:
        return Evidence("new", None, "")
    if name not in head.metrics:
        return Evidence("gone", None, "")
    before, after = base.metrics[name], head.metrics[name]
    if not is_finite(after):
        return Evidence("not finite", None, "a training that diverged, or a file changed by hand")
    if not is_finite(before):
        return Evidence("not comparable", None, "the base's value is not finite")
    if reason := incomparable(base, head, name):
        return Evidence("not comparable", None, reason)
    pair = pair_of(base, head, name)
    if before == after and (pair is None or np.array_equal(pair.before, pair.after)):
        return Evidence("same", Change(0.0, 0.0, 0.0, 1.0), "")
    return over_seeds(base, head, name, pair)


def incomparable(base: Revision, head: Revision, name: str) -> str:
    """Why the values of the two sides are not of the same thing; "" where they are."""
    before, after = (one.per_image[1].get(name) for one in (base, head))
    if before is None or after is None:
        return "one side is from before it was kept how a metric is measured"
    facts = dict.fromkeys([*FACTS, *before, *after])
    return ", ".join(FACTS.get(one, one) for one in facts if before.get(one) != after.get(one))


def over_seeds(base: Revision, head: Revision, name: str, pair: Pair | None) -> Evidence:
    """The change, with the noise of images and of seeds where that is known."""
    old, new = samples(base, head, name)
    noise = noise_of(old, new) or borrowed(base, head, name)
    differ = pair.change(seed_for(0, "comparison", name)) if pair else None
    note = said_of_images(differ)
    if noise is None:
        unknown = "the noise of seeds is not known"
        only = differ or Change(new[0] - old[0], -np.inf, np.inf, 1.0)
        return Evidence("unclear", only, f"{note}; {unknown}" if note else unknown)
    images = error_over_images(pair.before, pair.after) if pair else 0.0
    return Evidence(None, change(old, new, images, noise), note)


def samples(base: Revision, head: Revision, name: str) -> tuple[list[float], list[float]]:
    """The values of both sides over seeds; of one recipe the two alone, since replicas are both's.

    The first is always the one under the study's own seed.
    """
    if base.recipe == head.recipe:
        return [base.metrics[name]], [head.metrics[name]]
    return base.values(name), head.values(name)


def borrowed(base: Revision, head: Revision, name: str) -> Noise | None:
    """The noise of seeds as it was measured on another recipe, or on this one for a redraw."""
    known = [noise_of(one.replicas.values(name)) for one in (base, head) if one.replicas]
    return next((noise for noise in known if noise), None)


def said_of_images(differ: Change | None) -> str:
    """The weaker claim, of these two trainings alone."""
    if differ is None:
        return ""
    alike = "differ" if differ.p < LEVEL else "are alike"
    return f"these two trainings {alike}: {probability(differ.p)} over images"


def row(
    base: Revision,
    head: Revision,
    name: str,
    found: Evidence,
    rule: Rule | None,
    corrected: float | None,
) -> MetricRow:
    """A headline's row; `corrected` is its p-value within the gated family."""
    moved, values = found.change, [one.metrics.get(name) for one in (base, head)]
    finite = [value if value is not None and is_finite(value) else None for value in values]
    verdict = found.verdict or verdict_of(moved, rule, corrected)
    ends = (moved.low, moved.high) if moved and np.isfinite(moved.low) else (None, None)
    beyond = verdict == "not finite" and rule is not None and finite[1] is None
    if rule and moved and verdict == "worse":
        kind_end = min(rule.worsening(moved.low), rule.worsening(moved.high))
        beyond = kind_end > rule.tolerance
    return MetricRow(
        name=name,
        title=TITLES.get(name, name),
        better=rule.better if rule else None,
        base=finite[0],
        head=finite[1],
        change=moved.value if moved else None,
        low=ends[0],
        high=ends[1],
        tolerance=rule.tolerance if rule else None,
        beyond=beyond,
        verdict=verdict,
        note=found.note,
    )


def verdict_of(moved: Change | None, rule: Rule | None, corrected: float | None) -> Verdict:
    if moved is None:
        return "not comparable"
    p = moved.p if corrected is None else corrected
    if p >= LEVEL:
        return "unclear"
    if rule is None:
        return "changed"
    return "worse" if rule.worsening(moved.value) > 0 else "better"

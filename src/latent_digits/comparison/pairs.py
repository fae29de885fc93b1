"""The same test images on both sides: what each was under a headline, and which became worse."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from latent_digits.comparison.revisions import Revision
from latent_digits.comparison.statistics import (
    LEVEL,
    Change,
    change_over_images,
    error_over_images,
    mcnemar,
)
from latent_digits.comparison.values import ClassRow, Image, MetricRow
from latent_digits.seeds import seed_for

SHOWN_CLASSES, SHOWN_IMAGES = 10, 8


class Pair(NamedTuple):
    """A headline's value for each test image on both sides, float64 [N]; 0 or 100 of a classifier.

    `right` says for a classifier which images each side has right, bool [N].
    """

    before: np.ndarray
    after: np.ndarray
    right: tuple[np.ndarray, np.ndarray] | None

    def change(self, seed: int) -> Change:
        """The change over these images; of a classifier McNemar's test says how sure it is."""
        found = change_over_images(self.before, self.after, seed)
        return found._replace(p=mcnemar(*self.right)) if self.right else found

    def of(self, chosen: np.ndarray) -> "Pair":
        """These images alone, bool [N]."""
        right = (self.right[0][chosen], self.right[1][chosen]) if self.right else None
        return Pair(self.before[chosen], self.after[chosen], right)


def pair_of(base: Revision, head: Revision, name: str) -> Pair | None:
    """A headline's values on both sides; None where they have none an image, or other images."""
    before, after = base.of_images(name), head.of_images(name)
    if before is None or after is None or before.shape != after.shape or len(before) < 2:
        return None
    right = base.right(name), head.right(name)
    both = None if right[0] is None or right[1] is None else (right[0], right[1])
    return Pair(before, after, both)


def moved_pairs(
    base: Revision, head: Revision, rows: list[MetricRow]
) -> Iterator[tuple[MetricRow, Pair, float]]:
    """Gated headlines that moved, their pairs, and the sign that makes a change a worsening."""
    for row in rows:
        pair = pair_of(base, head, row.name)
        compared = row.better is not None and row.verdict in ("better", "worse", "unclear")
        if pair and compared and not np.array_equal(pair.before, pair.after):
            yield row, pair, 1.0 if row.better == "lower" else -1.0


def worst_classes(base: Revision, head: Revision, rows: list[MetricRow]) -> list[ClassRow]:
    """The classes that got worse under a gated headline, the surest first; exploratory."""
    labels, found = base.per_image[0].get("labels", np.array([], int)), []
    for row, pair, sign in moved_pairs(base, head, rows):
        for label in np.unique(labels).tolist():
            here = pair.of(labels == label)
            if len(here.before) < 2:
                continue
            moved = here.change(seed_for(0, "comparison", row.name, label))
            if moved.p < LEVEL and sign * moved.value > 0:
                found.append(
                    ClassRow(
                        name=row.name,
                        label=label,
                        images=len(here.before),
                        base=float(here.before.mean()),
                        head=float(here.after.mean()),
                        p=moved.p,
                    )
                )
    return sorted(found, key=lambda one: one.p)[:SHOWN_CLASSES]


def worst_images(base: Revision, head: Revision, rows: list[MetricRow]) -> list[Image]:
    """The test images that became most worse, under the gated headline that moved most surely."""
    moved = list(moved_pairs(base, head, rows))
    if not moved:
        return []

    def sureness(one: tuple[MetricRow, Pair, float]) -> float:
        _, pair, _ = one
        difference = float((pair.after - pair.before).mean())
        error = error_over_images(pair.before, pair.after)
        return abs(difference) / error if error else math.inf

    row, pair, sign = max(moved, key=sureness)
    worsening = sign * (pair.after - pair.before)
    labels = base.per_image[0].get("labels")
    return [
        Image(
            name=row.name,
            index=int(index),
            label=None if labels is None else int(labels[index]),
            base=float(pair.before[index]),
            head=float(pair.after[index]),
        )
        for index in np.argsort(-worsening, kind="stable")[:SHOWN_IMAGES]
        if worsening[index] > 0
    ]

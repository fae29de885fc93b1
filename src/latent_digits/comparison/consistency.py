"""Do the files of one side say the same? A digest alone does not tell what was edited with it."""

from collections.abc import Iterator

from latent_digits.catalogue import METRICS
from latent_digits.comparison.revisions import Revision, is_finite

ROUNDING = 1e-3  # relative; values per image are float16
EXACT = 1e-9


def contradictions(one: Revision) -> Iterator[str]:
    """What `metrics.json` says otherwise than the two files that were written with it."""
    for metric in METRICS:
        headline, images = one.metrics.get(metric.name), one.of_images(metric.name)
        detail = one.details.get(metric.key)
        if headline is None or not is_finite(headline):
            continue
        if detail is not None and not close(metric.scale * detail, headline, EXACT):
            yield f"evaluation.json has another {metric.name} than metrics.json: changed by hand?"
        rounding = EXACT if one.right(metric.name) is not None else ROUNDING
        if images is not None and not close(float(images.mean()), headline, rounding):
            yield (
                f"per_image.safetensors has another {metric.name} than metrics.json: changed by "
                "hand?"
            )


def close(one: float, other: float, rounding: float) -> bool:
    return abs(one - other) <= rounding * max(abs(one), abs(other), 1e-12)

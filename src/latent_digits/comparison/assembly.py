"""Two revisions into one comparison: rows, reasons, and the sentence above them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from latent_digits.catalogue import METRICS
from latent_digits.comparison.consistency import contradictions
from latent_digits.comparison.freshness import changed_stages, differing, stale_stages
from latent_digits.comparison.gate import JUDGED, gate_of
from latent_digits.comparison.markdown import plural
from latent_digits.comparison.pairs import worst_classes, worst_images
from latent_digits.comparison.revisions import Revision
from latent_digits.comparison.statistics import noise_of
from latent_digits.comparison.values import Comparison, Curve, Difference, MetricRow, Side, Stale
from latent_digits.comparison.verdicts import UNKNOWN, lender, metric_rows, samples
from latent_digits.console import UserError
from latent_digits.project.provenance import flatten, git

ON_TEST = {one.name for one in METRICS if one.on == "test"}


def compared(
    base: Revision, head: Revision, *, accept_new_test_set: bool = False, strict: bool = False
) -> Comparison:
    """All that can be said of `head` against `base`, whose gate holds."""
    stale = stale_stages(head.study)
    if not stale and (faults := list(contradictions(head))):
        stale = [Stale(stage="evaluate", causes=faults)]
    rows = metric_rows(base, head, base.gate or head.gate)
    gates = (dict(flatten(one.study.params.get("gate") or {})) for one in (base, head))
    gate = gate_of(
        rows,
        stale,
        differences(*gates),
        old_base=not base.gate or not base.per_image[1],
        redraw=is_redraw(base, head),
        accept_new_test_set=accept_new_test_set,
        strict=strict,
    )
    both = next((name for name in head.metrics if name in base.metrics), None)
    seeds = [len(values) for values in samples(base, head, both)] if both else [0, 0]
    return Comparison(
        sentence=sentence(base, head, rows, stale),
        base=side(base, seeds[0]),
        head=side(head, seeds[1]),
        notes=list(notes(base, head, rows)),
        stale=stale,
        gate=gate,
        metrics=rows,
        parameters=differences(*(parameters(one) for one in (base, head))),
        stages=changed_stages(base.study, head.study),
        others=differences(*(others(one) for one in (base, head))),
        classes=worst_classes(base, head, rows),
        worsened=worst_images(base, head, rows),
        curves=[
            Curve(name=name, base=base.curves.get(name, []), head=head.curves.get(name, []))
            for name in dict.fromkeys([*head.curves, *base.curves])
            if base.curves.get(name) != head.curves.get(name)
        ],
    )


def sentence(base: Revision, head: Revision, rows: list[MetricRow], stale: list[Stale]) -> str:
    """What a reader would say of all of it."""
    gated = [row for row in rows if row.tolerance is not None]
    count = Counter(row.verdict for row in gated)
    if stale:
        names = ", ".join(one.stage for one in stale)
        return f"These are the old results: those of {names} are not of this tree."
    if not rows:
        return "No metric is known on either side."
    if all(row.verdict == "same" for row in rows):
        return "Nothing differs: every metric is the same to the last digit."
    moved_counts = [
        f"{count[kind]} {kind}" for kind in ("better", "worse", "not finite") if count[kind]
    ]
    apart = sum(row.verdict not in (*JUDGED, "not finite") for row in gated)
    if is_redraw(base, head):
        start = f"A redraw: only the seed differs, and {of_redraw(gated)}"
    elif moved_counts:
        start = f"{', '.join(moved_counts)} of {len(gated)} gated metrics"
    elif apart == len(gated):
        return "Nothing can be compared: see the notes."
    else:
        start = f"No clear change in any of {len(gated)} gated metrics"
    beyond = sum(row.beyond for row in gated)
    ends = [f"{apart} not comparable"] if apart else []
    if beyond and not is_redraw(base, head):
        ends.append(f"{beyond} worse beyond tolerance")
    return f"{'; '.join([start, *ends])}."


def of_redraw(gated: list[MetricRow]) -> str:
    """How a redraw moved the gated metrics, against what seeds do."""
    judged = [row for row in gated if row.verdict in JUDGED]
    moved = sum(row.verdict in ("better", "worse") for row in judged)
    if any(UNKNOWN in row.note for row in judged):
        return "how much seeds move is not known"
    if moved:
        return f"{moved} of {len(gated)} gated metrics moved more than seeds do"
    if len(judged) == len(gated):
        return f"all {len(gated)} gated metrics stay within the noise of seeds"
    return f"{len(judged)} of {len(gated)} gated metrics stay within the noise of seeds"


def is_redraw(base: Revision, head: Revision) -> bool:
    return base.recipe != "" and base.recipe == head.recipe and base.seed != head.seed


def side(one: Revision, seeds: int) -> Side:
    _, ways = one.per_image
    images = {f"{facts['images']}" for name, facts in ways.items() if name in ON_TEST}
    return Side(
        revision=one.name,
        commit=one.commit,
        subject=one.subject,
        changes=one.changes,
        seeds=seeds,
        test_images=" ".join(sorted(images)),
    )


def notes(base: Revision, head: Revision, rows: list[MetricRow]) -> Iterator[str]:
    """What a reader must know of the whole table, sentence by sentence."""
    if stale := stale_stages(base.study):
        names = ", ".join(one.stage for one in stale)
        yield f"The base's own results of {names} are not those of its code and parameters."
    if is_redraw(base, head):
        yield "A redraw says nothing of the recipe, and does not fail the gate."
    elif base.recipe and base.recipe == head.recipe and any(row.verdict != "same" for row in rows):
        yield (
            "Neither recipe nor seed differs, yet results do: made on another machine than the "
            "README promises, or changed by hand."
        )
    if not base.gate and head.gate:
        yield "The base has no gate; directions and tolerances are this tree's."
    compared = [row.name for row in rows if row.verdict in (*JUDGED, "changed")]
    own = any(noise_of(*samples(base, head, name)) for name in compared)
    loan = lender(base, head)
    if any(row.verdict not in ("same", "new", "gone", "not comparable") for row in rows):
        if not own and loan is None:
            yield (
                "The noise of seeds is not known, so nothing is called better or worse; "
                "`make replicas` measures it."
            )
        elif not own and loan and loan.recipe not in (base.recipe, head.recipe):
            yield f"The noise of seeds is borrowed from {plural(len(loan.rows), 'seed')} of " + (
                f"{loan.commit}{since(loan.commit, head)}; `make replicas` measures it anew."
            )
    if head.replicas and head.replicas != base.replicas:
        yield (
            f"{plural(len(head.replicas.rows), 'seed')} of reports/replicas.json are this tree's "
            "own; nothing else vouches for them."
        )


def since(commit: str, head: Revision) -> str:
    """How many versions of the study were committed after `commit`, where git knows it."""
    span = f"{commit.partition(' ')[0]}..HEAD"
    try:
        versions = git(
            head.folder, "rev-list", "--count", "--end-of-options", span, "--", "dvc.lock"
        )
    except UserError:  # a shallow clone does not know the commit
        return ""
    known = versions.isdecimal() and versions != "0"
    return f", {plural(int(versions), 'version')} of the study ago" if known else ""


def parameters(one: Revision) -> dict[str, Any]:
    """All parameters but the gate's, which has a place of its own."""
    return {k: v for k, v in flatten(one.study.params) if not k.startswith("gate.")}


def others(one: Revision) -> dict[str, Any]:
    return {name: f"{value:.6g}" for name, value in one.details.items()}


def differences(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[Difference]:
    """What differs between two mappings."""

    def text(values: Mapping[str, Any], name: str) -> str | None:
        return str(values[name]) if name in values else None

    return [
        Difference(name=name, base=text(base, name), head=text(head, name))
        for name in differing(base, head)
    ]

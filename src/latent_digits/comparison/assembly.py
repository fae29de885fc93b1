"""Two revisions into one comparison: rows, reasons, and the sentence above them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from latent_digits.comparison.freshness import changed_stages, differing, stale_stages
from latent_digits.comparison.gate import gate_of
from latent_digits.comparison.pairs import worst_digits, worst_images
from latent_digits.comparison.revisions import Revision, is_finite
from latent_digits.comparison.values import (
    Comparison,
    Curve,
    Difference,
    MetricRow,
    Side,
    Stale,
)
from latent_digits.comparison.verdicts import metric_rows, rules_of, samples
from latent_digits.console import UserError
from latent_digits.provenance import flatten, git


def compared(
    base: Revision, head: Revision, *, accept_new_test_set: bool = False, strict: bool = False
) -> Comparison:
    """All that can be said of `head` against `base`, whose gate holds."""
    rules = rules_of(base) or rules_of(head)
    stale = stale_stages(head.study)
    rows = metric_rows(base, head, rules)
    gates = [dict(flatten(one.study.params.get("gate") or {})) for one in (base, head)]
    gate = gate_of(
        rows,
        stale,
        differences(*gates),
        accept_new_test_set=accept_new_test_set,
        strict=strict,
    )
    before, after = base.curves(), head.curves()
    both = next((name for name in head.metrics if name in base.metrics), None)
    seeds = [len(values) for values in samples(base, head, both)] if both else [0, 0]
    return Comparison(
        sentence=sentence(base, head, rows, stale),
        base=side(base, seeds[0]),
        head=side(head, seeds[1]),
        remarks=remarks(base, head, rules),
        stale=stale,
        gate=gate,
        metrics=rows,
        parameters=differences(*(parameters(one) for one in (base, head))),
        stages=changed_stages(base.study, head.study),
        others=differences(*(others(one) for one in (base, head))),
        digits=worst_digits(base, head, rows),
        worsened=worst_images(base, head, rows),
        curves=[
            Curve(name=name, base=before.get(name, []), head=after.get(name, []))
            for name in dict.fromkeys([*after, *before])
            if before.get(name) != after.get(name)
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
    beyond = sum(row.beyond for row in gated)
    end = f"; {beyond} of {len(gated)} worse beyond tolerance" if beyond else ""
    if is_redraw(base, head):
        return f"A redraw: only the seed differs, and {of_redraw(base, head, gated)}{end}."
    clear = [f"{count[kind]} {kind}" for kind in ("better", "worse") if count[kind]]
    apart = sum(count[kind] for kind in ("not comparable", "new", "gone", "not finite"))
    if not clear:
        if apart == len(gated):
            return "Nothing can be compared: see the notes."
        clear = ["No clear change"]
    else:
        clear = [", ".join(clear)]
    rest = f", {apart} not comparable" if apart else ""
    return f"{clear[0]} of {len(gated)} gated metrics{rest}{end}."


def of_redraw(base: Revision, head: Revision, gated: list[MetricRow]) -> str:
    moved = sum(row.verdict in ("better", "worse") for row in gated)
    if not (base.replicas or head.replicas):
        return "how much seeds move is not known"
    if moved:
        return f"{moved} of {len(gated)} gated metrics moved more than seeds do"
    return f"all {len(gated)} gated metrics stay within the noise of seeds"


def is_redraw(base: Revision, head: Revision) -> bool:
    return base.recipe == head.recipe and base.seed != head.seed


def side(one: Revision, seeds: int) -> Side:
    _, ways = one.per_image
    images = {facts["images"] for facts in ways.values() if facts["way"].endswith("test images")}
    return Side(
        revision=cut(one.name),
        commit=one.commit,
        subject=cut(one.subject),
        changes=one.changes,
        seeds=seeds,
        test_images=" ".join(sorted(images)),
    )


def remarks(base: Revision, head: Revision, rules: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the whole table."""
    found = []
    if is_redraw(base, head):
        found.append("Only the seed differs: a change says nothing of the recipe.")
    if not rules_of(base) and rules:
        found.append("The base has no gate; directions and tolerances are this tree's.")
    if base.recipe != head.recipe:
        known = [one for one in (base, head) if one.replicas]
        own = [one for one in known if one.replicas and one.replicas.recipe == one.recipe]
        if not known:
            found.append(
                "The noise of seeds is not known, so nothing is called better or worse; "
                "`make replicas` measures it."
            )
        elif not own:
            found.append(said_of_loan(known[0], head))
    elif is_redraw(base, head) and not (base.replicas or head.replicas):
        found.append("The noise of seeds is not known; `make replicas` measures it.")
    return found


def said_of_loan(lender: Revision, head: Revision) -> str:
    """Whence the noise of seeds is, where neither side's recipe has its own."""
    replicas = lender.replicas
    if replicas is None:
        raise ValueError("no replicas to speak of")
    since = ""
    commit = replicas.commit.partition(" ")[0]
    try:
        states = git(head.folder, "rev-list", "--count", f"{commit}..HEAD", "--", "dvc.lock")
    except UserError:  # a shallow clone does not know the commit
        states = ""
    if states.isdecimal():
        since = f", {states} states of the study ago"
    return (
        f"The noise of seeds is borrowed: {len(replicas.rows)} seeds of {replicas.commit}{since}; "
        "`make replicas` measures it anew."
    )


def parameters(one: Revision) -> dict[str, Any]:
    """All parameters but the gate's, which has a place of its own."""
    return {k: v for k, v in flatten(one.study.params) if not k.startswith("gate.")}


def others(one: Revision) -> dict[str, Any]:
    return {k: f"{v:.6g}" for k, v in one.details.items() if is_finite(v)}


def differences(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[Difference]:
    """What differs between two mappings."""
    return [
        Difference(name=cut(name), base=text(base, name), head=text(head, name))
        for name in differing(base, head)
    ]


def text(values: Mapping[str, Any], name: str) -> str | None:
    return cut(str(values[name])) if name in values else None


def cut(words: str, most: int = 300) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"

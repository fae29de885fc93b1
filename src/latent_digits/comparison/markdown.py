"""A comparison as Markdown, for a terminal, a step's summary and a pull request.

Its texts may be a stranger's, so nothing in them may become a link, a mention, HTML or a table's
border.
"""

import math
import re
from collections.abc import Iterable

from latent_digits.comparison.values import (
    SYMBOLS,
    Comparison,
    Difference,
    Image,
    MetricRow,
    Side,
    probability,
)

ARROWS = {"lower": "↓", "higher": "↑", None: ""}
SPECIAL = re.compile(r"([\\`*\[\]|~$]|(?<![a-z0-9])_|_(?![a-z0-9]))")
LINKING = re.compile(r"(://|@|#|www(?=\.)|gh(?=-)|\b[0-9a-f]{6}(?=[0-9a-f]))", re.IGNORECASE)
MEANS = " Values of a side with several seeds are means over them."
ENDS = {
    0: "The gate passes.",
    1: "The gate does not pass.",
    2: "The gate does not pass.",
    3: "The gate cannot say.",
}


def render(comparison: Comparison) -> str:
    """The whole page; what few want to see is folded."""
    return "\n".join(
        [
            *heading(comparison),
            *table_of_metrics(comparison),
            *changes(comparison),
            *folded("Other metrics", table(("metric", "base", "this"), rows_of(comparison.others))),
            *folded("Classes that got worse (exploratory)", classes(comparison)),
            *folded("Test images that got worse", images(comparison)),
        ]
    )


def heading(one: Comparison) -> Iterable[str]:
    yield f"## {plain(one.sentence)}"
    yield ""
    yield f"Base: {side(one.base)}. This: {side(one.head)}."
    yield f"Test set: {test_set(one)}.{MEANS if max(one.base.seeds, one.head.seeds) > 1 else ''}"
    yield ""
    for stale in one.stale:
        causes = "; ".join(map(plain, stale.causes))
        yield f"- **{plain(stale.stage)}** has results of another tree: {causes}"
    yield from (f"- {plain(note)}" for note in one.notes)
    yield f"- **{ENDS[one.gate.exit]}** {' '.join(map(plain, one.gate.reasons))}".rstrip()
    for change in one.gate.changes:
        yield (
            f"- The gate itself differs: {code(change.name)} from {value_cell(change.base)} to "
            + value_cell(change.head)
        )
    yield ""


def side(one: Side) -> str:
    """ "`main` (`abc1234`, subject), 6 seeds"."""
    known = f" ({code(one.commit[:7])}, {plain(one.subject)})" if one.commit else ""
    changes = ", with changes that no commit has" if one.changes else ""
    return f"{code(one.revision)}{known}{changes}, {plural(one.seeds, 'seed')}"


def test_set(one: Comparison) -> str:
    before, after = one.base.test_images, one.head.test_images
    if before == after:
        return f"{code(after)}, the same" if after else "not known"
    return f"{code(before or 'not known')} in the base, {code(after or 'not known')} here"


def table_of_metrics(one: Comparison) -> Iterable[str]:
    gated = [row for row in one.metrics if row.tolerance is not None]
    columns = ("gated metric", "base", "this", "change (95 %)", "tolerance", "verdict", "")
    yield from table(columns, (cells(row, bool(one.stale)) for row in gated))
    rest = [row for row in one.metrics if row.tolerance is None]
    columns = ("not gated", "base", "this", "change (95 %)", "", "verdict", "")
    yield from table(columns, (cells(row, bool(one.stale)) for row in rest))


def cells(row: MetricRow, old: bool) -> tuple[str, ...]:
    verdict = SYMBOLS[row.verdict]
    if row.verdict in ("better", "worse"):
        verdict = f"**{verdict}**{', beyond tolerance' if row.beyond else ''}"
    return (
        f"{code(row.name)} {ARROWS[row.better]}".rstrip(),
        number(row.base),
        number(row.head),
        change(row),
        "" if row.tolerance is None else f"{row.tolerance:g}",
        f"~~{verdict}~~" if old else verdict,
        plain(row.note),
    )


def change(row: MetricRow) -> str:
    """ "+0.12 (−0.05 to +0.29)"."""
    if row.change is None or row.verdict == "same":
        return "0" if row.verdict == "same" else "–"
    if row.low is None or row.high is None or row.high <= row.low:
        return f"{row.change:+.3g}".replace("-", "−")
    width, size = (row.high - row.low) / 2, max(abs(row.low), abs(row.high))
    if width > 1e-4 and size < 1e6:
        form = f"+.{max(0, 1 - math.floor(math.log10(width)))}f"
    else:
        form = "+.3g"
    parts = (format(value, form) for value in (row.change, row.low, row.high))
    return "{} ({} to {})".format(*parts).replace("-", "−")


def changes(one: Comparison) -> Iterable[str]:
    columns = ("parameter", "base", "this")
    yield from table(columns, rows_of(one.parameters))
    rows = (
        (
            plain(stage.stage),
            "; ".join(map(plain, stage.causes)),
            "the same bytes all the same" if stage.same_bytes else "other bytes",
        )
        for stage in one.stages
    )
    yield from table(("stage whose entry changed", "why", "outputs"), rows)


def classes(one: Comparison) -> list[str]:
    rows = (
        (
            code(row.name),
            str(row.label),
            number(row.base),
            number(row.head),
            probability(row.p).removeprefix("p "),
            str(row.images),
        )
        for row in one.classes
    )
    return table(("metric", "class", "base", "this", "p, not corrected", "images"), rows)


def images(one: Comparison) -> list[str]:
    rows = (
        (code(row.name), str(row.index), class_of(row), number(row.base), number(row.head))
        for row in one.worsened
    )
    return table(("metric", "test image", "its class", "base", "this"), rows)


def class_of(row: Image) -> str:
    return "–" if row.label is None else str(row.label)


def rows_of(differences: Iterable[Difference]) -> Iterable[tuple[str, ...]]:
    return ((code(one.name), value_cell(one.base), value_cell(one.head)) for one in differences)


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """The lines of a table, an empty one after it; nothing without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return []
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *lines, ""]


def folded(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "</details>", ""]


def number(value: float | None) -> str:
    """Four significant digits, zeros too."""
    return "–" if value is None else f"{value + 0.0:#.4g}".rstrip(".").replace("-", "−")


def value_cell(value: str | None) -> str:
    return "–" if value is None else code(value)


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def code(text: str) -> str:
    """A stranger's words as they are: within code nothing else is read into them."""
    kept = " ".join(text.replace("`", "'").split()).replace("|", "\\|")
    return f"`{kept}`" if kept else ""


def plain(text: str) -> str:
    """Words in running text, whose signs mean nothing but themselves."""
    words = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return LINKING.sub("\\1\u200b", SPECIAL.sub(r"\\\1", words))

"""The report's values: each with its text, its interval, its seeds, and whence it is.

A template prints values by name and nothing else, so a number on the page has a source that can be
looked up: which file, which entry, the file's digest, and the command that makes it again.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from latent_digits.console import UserError

MARK = "\ue000{name}\ue001{text}\ue002"  # of a value in the text, for the writers to find
MARKED = re.compile("\ue000([^\ue001]*)\ue001([^\ue002]*)\ue002")
FIXED = "\u00a0"  # a space at which no line is broken
PERCENT = f"{FIXED}%"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# What somebody has set, as it was set.
GIVEN = ("dropout", "gaussian_mean", "gaussian_variance", "salt_pepper", "speckle_variance", "beta")


@dataclass(frozen=True)
class Source:
    """A file or a publication that values are read from, and the command that makes it again."""

    name: str
    command: str
    digest: str = ""  # MD5, as in dvc.lock


@dataclass(frozen=True)
class Seeds:
    """A value's mean and standard deviation over trainings under other seeds."""

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True)
class Value:
    """What stands in the report for `raw`, which `entry` of `source` says.

    `low` and `high` are a 95 % interval over images, `seeds` come from other trainings.
    """

    name: str
    raw: Any
    source: Source
    entry: str
    low: float | None = None
    high: float | None = None
    seeds: Seeds | None = None
    as_given: str = ""  # by the source, where its own digits are to be kept

    @property
    def text(self) -> str:
        return self.as_given or text_of(self.name, self.raw)

    @property
    def interval(self) -> str:
        if self.low is None or self.high is None:
            return "–"
        low, high = text_of(self.name, self.low), text_of(self.name, self.high)
        return f"{low.removesuffix(PERCENT)} to {high}".replace(" ", FIXED)

    @property
    def over_seeds(self) -> str:
        """Mean ± standard deviation."""
        if self.seeds is None:
            return "–"
        mean, deviation = (text_of(self.name, x) for x in (self.seeds.mean, self.seeds.deviation))
        return f"{mean.removesuffix(PERCENT)} ± {deviation}".replace(" ", FIXED)

    @property
    def trainings(self) -> str:
        """How many there were under other seeds."""
        return str(self.seeds.count) if self.seeds else "–"


class Values(Mapping[str, Value]):
    """All values by name; it remembers which were printed, in their order."""

    def __init__(self, values: Iterable[Value]):
        self.values_by_name = {value.name: value for value in values}
        self.printed: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        """Raises UserError for a value that no source has, naming what should have made it."""
        if name in self.values_by_name:
            return self.values_by_name[name]
        group = name.partition(".")[0]
        sources = [v.source for k, v in self.values_by_name.items() if k.partition(".")[0] == group]
        where = sources[0] if sources else Source("reports/evaluation.json", "dvc repro evaluate")
        raise UserError(
            f"the report's value {name} is missing: {where.name} should have it, which "
            f"`{where.command}` makes."
        )

    def __contains__(self, name: object) -> bool:
        return name in self.values_by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def show(self, name: str, form: str = "text") -> str:
        """The value's text, interval or spread, marked for the writers."""
        value = self[name]
        self.printed.setdefault(name, value)
        return MARK.format(name=name, text=getattr(value, form))


def text_of(name: str, raw: Any) -> str:
    """A raw value as the report prints it: the same digits wherever such a quantity stands."""
    quantity = name.rpartition(".")[2]
    if isinstance(raw, str) or raw is None:
        return raw or "–"
    if isinstance(raw, list):
        return ", ".join(text_of(name, one) for one in raw)
    if "accuracy" in quantity or quantity.startswith("share"):
        return f"{100 * raw:.2f}{PERCENT}"
    if quantity == "seed":
        return str(raw)
    if isinstance(raw, int):
        return f"{raw:,}".replace(",", FIXED)
    if quantity == "lr":
        mantissa, _, exponent = f"{raw:.2e}".partition("e")
        return f"{mantissa}{FIXED}×{FIXED}10{str(int(exponent)).translate(RAISED)}"
    if "mse" in quantity:
        return f"{raw:.5f}"
    if quantity in GIVEN:
        return f"{raw:.4g}"
    return f"{raw:.2f}"


def values_of(
    tree: Mapping[str, Any], source: Source, prefix: str = "", seeds: Mapping[str, Seeds] = {}
) -> Iterator[Value]:
    """The leaves of a nested table, with their intervals where `…_low` and `…_high` stand beside.

    `seeds` has, by the name of a leaf, what other trainings gave.
    """
    for key, raw in tree.items():
        name = f"{prefix}{key}"
        if isinstance(raw, Mapping):
            yield from values_of(raw, source, f"{name}.", seeds)
        elif not key.endswith(("_low", "_high")):
            low, high = tree.get(f"{key}_low"), tree.get(f"{key}_high")
            entry = name.partition(":")[2] or name
            yield Value(name, raw, source, entry, low, high, seeds.get(name))


def over_seeds(rows: Iterable[Mapping[str, Any]]) -> dict[str, Seeds]:
    """Mean and standard deviation of each entry that all rows of `replicas.json` have."""
    details = [row["details"] for row in rows]
    if len(details) < 2:
        return {}
    names = set.intersection(*(set(one) for one in details))
    columns = {name: [one[name] for one in details] for name in sorted(names)}
    return {
        name: Seeds(fmean(column), stdev(column), len(column)) for name, column in columns.items()
    }

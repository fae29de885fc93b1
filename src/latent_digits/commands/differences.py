"""How far two versions of an output are apart, in lines for a person."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from latent_digits.data.storage import Row, read_csv, read_json, read_tensors
from latent_digits.project.provenance import digest, flatten

SHOWN = 8  # lines of each output at most


def differences(before: Path, after: Path) -> list[str]:
    """Each way in which `after` is not `before`; of folders, of each file. Empty for equal ones.

    `before` may be a file without a suffix, as in DVC's cache: that of `after` says what they hold.
    """
    if after.is_dir():
        return of_folders(before, after)
    if digest(before) == digest(after):
        return []
    kinds: dict[str, Callable[[Path, Path], list[str]]] = {
        ".safetensors": of_tensors,
        ".json": of_values,
        ".csv": of_tables,
        ".png": of_pictures,
        ".pdf": of_bytes,
    }
    lines = kinds.get(after.suffix, of_texts)(before, after)
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more] or ["equal values, written otherwise"]


def of_folders(before: Path, after: Path) -> list[str]:
    names = {one.name for folder in (before, after) for one in folder.iterdir()}
    lines: list[str] = []
    for name in sorted(names):
        if not (before / name).exists() or not (after / name).exists():
            lines.append(f"{name} is in one of both only")
        else:
            lines += [f"{name}: {line}" for line in differences(before / name, after / name)]
    return lines


def of_tensors(before: Path, after: Path) -> list[str]:
    """The array that differs most, and how many do."""
    (old, old_about), (new, new_about) = read_tensors(before), read_tensors(after)
    lines = ["another description"] if old_about != new_about else []
    if {k: v.shape for k, v in old.items()} != {k: v.shape for k, v in new.items()}:
        return [*lines, "arrays of other names or shapes"]
    gaps = {
        name: float(np.abs(array.astype(np.float64) - new[name]).max(initial=0.0))
        for name, array in old.items()
    }
    worst = max(gaps, key=lambda name: gaps[name])
    if gaps[worst] > 0:
        count = sum(gap > 0 for gap in gaps.values())
        lines.append(
            f"{count} of {len(gaps)} arrays; largest difference {gaps[worst]:.3g}, in {worst}"
        )
    return lines


def of_values(before: Path, after: Path) -> list[str]:
    """Each value that differs."""
    old, new = dict(flatten(read_json(before))), dict(flatten(read_json(after)))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{key}: {change(old.get(key), new.get(key))}" for key in keys]


def change(old: object, new: object) -> str:
    """dvc.lock's value, the one found, and by how much it is more."""
    by = ""
    if isinstance(old, int | float) and isinstance(new, int | float):
        by = f" ({new - old:+.3g})"
    return f"{old} in dvc.lock, {new} here{by}"


def of_tables(before: Path, after: Path) -> list[str]:
    """The first row that differs, and the column that differs most."""
    old, new = read_csv(before), read_csv(after)
    lines = [f"{len(old)} rows in dvc.lock, {len(new)} here"] if len(old) != len(new) else []
    first = next((n for n, (a, b) in enumerate(zip(old, new, strict=False), 1) if a != b), None)
    if first is None:
        return lines
    return [*lines, f"from row {first} on; {largest_change(old, new)}"]


def largest_change(old: list[Row], new: list[Row]) -> str:
    gaps: dict[str, float] = {}
    for one, other in zip(old, new, strict=False):
        for key in one.keys() & other.keys():
            if isinstance(one[key], float) and isinstance(other[key], float):
                gaps[key] = max(gaps.get(key, 0.0), abs(one[key] - other[key]))
    worst = max(sorted(gaps), key=lambda key: gaps[key], default="")
    return f"largest difference {gaps[worst]:.3g}, in {worst}" if worst else "other text"


def of_pictures(before: Path, after: Path) -> list[str]:
    """The share of pixels that differ."""
    with Image.open(before) as one, Image.open(after) as other:
        if one.size != other.size:
            return [f"{one.size} pixels in dvc.lock, {other.size} here"]
        old, new = (np.asarray(each.convert("RGBA"), np.int16) for each in (one, other))
    gaps = np.abs(old - new).max(axis=-1)
    share, most = (gaps > 0).mean(), gaps.max()
    return [f"{share:.2%} of the pixels, by up to {most} of 255"] if most else []


def of_bytes(before: Path, after: Path) -> list[str]:
    """How many bytes there are, and from which on they differ."""
    old, new = before.read_bytes(), after.read_bytes()
    first = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
        min(len(old), len(new)),
    )
    return [f"{len(old)} bytes in dvc.lock, {len(new)} here; other ones from byte {first} on"]


def of_texts(before: Path, after: Path) -> list[str]:
    """Each line that differs, as it is here."""
    old, new = (path.read_text(encoding="utf-8").splitlines() for path in (before, after))
    lines = [
        f"line {n}: {b:.200}" for n, (a, b) in enumerate(zip(old, new, strict=False), 1) if a != b
    ]
    if len(old) != len(new):
        lines.append(f"{len(old)} lines in dvc.lock, {len(new)} here")
    return lines

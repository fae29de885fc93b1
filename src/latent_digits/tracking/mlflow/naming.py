"""The name of a parent run: its commit, and what changed since the parent run before."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MOST = 3  # changes that a name has room for


def parent_run_name(
    commit: str,
    dirty: bool,
    params: Mapping[str, Any],
    sources: Mapping[str, str],
    params_before: Mapping[str, str],
    sources_before: Mapping[str, str],
) -> str:
    """As "d4b6fd2 seed 1", or "d4b6fd2 + changes: seed 1" where something is not committed.

    `params` are values by name, as text in the parent run before; `sources` are digests by path.
    Where nothing is known of the parent run before, nothing is said to have changed.
    """
    changes = [f"{name} {params[name]}" for name in changed(as_text(params), params_before)]
    changes += [Path(path).name for path in changed(sources, sources_before)]
    if len(changes) > MOST:
        changes[MOST - 1 :] = [f"{len(changes) - MOST + 1} more"]
    listed = ", ".join(changes)
    start = commit[:7] or "no commit"
    if dirty:
        return f"{start} + changes: {listed}" if listed else f"{start} + changes"
    return f"{start} {listed}".strip()


def as_text(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}


def changed(now: Mapping[str, str], before: Mapping[str, str]) -> Iterator[str]:
    """What is new or other, in order."""
    return (name for name, value in now.items() if before and before.get(name) != value)

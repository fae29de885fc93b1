"""Are the results those of the tree? Told from digests alone, without data or cache."""

from collections.abc import Iterator, Mapping
from typing import Any

from latent_digits.comparison.values import StageRow, Stale
from latent_digits.project.provenance import Study, flatten, locked

GONE = object()
RESULTS = ("metrics.json", "evaluation.json", "per_image.safetensors")
UPSTREAM = "upstream: "


def stale_stages(study: Study) -> list[Stale]:
    """The stages whose results in `dvc.lock` are not those of the code and parameters here."""
    found: dict[str, list[str]] = {}
    for stage in study.stages:  # a stage comes after those that it reads from
        causes = list(causes_of(study, stage, found))
        if causes:
            found[stage] = causes
    unmade = [f"reports/{name}" for name in RESULTS if f"reports/{name}" not in study.makers]
    if unmade := [path for path in unmade if (study.folder / path).exists()]:
        found.setdefault("evaluate", []).append(f"no stage writes {', '.join(unmade)}")
    return [Stale(stage=stage, causes=shortened(causes)) for stage, causes in found.items()]


def causes_of(study: Study, stage: str, stale: Mapping[str, Any]) -> Iterator[str]:
    entry = study.lock.get(stage)
    if not entry:
        yield "it has not run yet"
        return
    before, outputs = locked(entry, "deps"), locked(entry, "outs")
    if entry["cmd"] != study.stages[stage]["cmd"]:
        yield "its command"
    for path in sorted({*before, *study.dependencies(stage)}):
        maker = study.makers.get(path)
        if maker in stale:
            yield f"{UPSTREAM}{maker}"
        elif before.get(path) != digest_here(study, path):
            yield f"{UPSTREAM}{maker}" if maker else code_or_file(path)
    noted = noted_parameters(entry)
    yield from (f"parameter {name}" for name in differing(noted, flat(study.parameters(stage))))
    if set(outputs) != set(study.outputs(stage)):
        yield "its list of outputs"
    for path in in_git(study, stage):
        here = study.folder / path
        if path in outputs and not here.exists():
            yield f"{path} is missing"
        elif path in outputs and study.digests([path])[path] != outputs[path]:
            yield f"{path} is not what the stage wrote: changed by hand?"


def digest_here(study: Study, path: str) -> str | None:
    """A file's digest: as it is, or as the stage that makes it has left it."""
    maker = study.makers.get(path)
    return locked(study.lock.get(maker, {}), "outs").get(path) if maker else study.sources.get(path)


def code_or_file(path: str) -> str:
    return f"code: {path}" if path.startswith(("src/", "stages/")) else f"file: {path}"


def in_git(study: Study, stage: str) -> list[str]:
    """The outputs that DVC does not cache, since git has them."""
    kinds = (study.stages[stage].get(kind, []) for kind in ("outs", "metrics", "plots"))
    entries = [one for entries in kinds for one in entries if isinstance(one, dict)]
    return [path for one in entries for path, how in one.items() if how.get("cache") is False]


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names whose values differ, or that only one side has."""
    names = sorted({*before, *after})
    return [name for name in names if before.get(name, GONE) != after.get(name, GONE)]


def changed_stages(base: Study, head: Study) -> list[StageRow]:
    """The stages whose entry in `dvc.lock` differs, and why."""
    found = []
    for stage in [*head.stages, *(one for one in base.stages if one not in head.stages)]:
        before, after = base.lock.get(stage, {}), head.lock.get(stage, {})
        if before == after:
            continue
        if not before or not after:
            causes = ["new" if after else "gone"]
        else:
            causes = [*of_entries(before, after, head)] or ["its outputs alone"]
        same = bool(before and after) and locked(before, "outs") == locked(after, "outs")
        found.append(StageRow(stage=stage, causes=shortened(causes), same_bytes=same))
    return found


def of_entries(before: Mapping[str, Any], after: Mapping[str, Any], head: Study) -> Iterator[str]:
    """Why two entries of one stage differ."""
    if before.get("cmd") != after.get("cmd"):
        yield "its command"
    for path in differing(locked(before, "deps"), locked(after, "deps")):
        yield f"{UPSTREAM}{head.makers[path]}" if path in head.makers else code_or_file(path)
    params = map(noted_parameters, (before, after))
    yield from (f"parameter {name}" for name in differing(*params))


def noted_parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in a stage's entry of the lock, by their dotted names."""
    return flat(entry.get("params", {}).get("params.yaml", {}))


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(flatten(values))


def shortened(causes: list[str], most: int = 5) -> list[str]:
    """Each cause once, those upstream together and last; of many the first and how many more."""
    once = dict.fromkeys(causes)
    upstream = [one.removeprefix(UPSTREAM) for one in once if one.startswith(UPSTREAM)]
    own = [one for one in once if not one.startswith(UPSTREAM)]
    if len(own) > most:
        own = [*own[: most - 1], f"{len(own) - most + 1} more"]
    return [*own, *([f"{UPSTREAM}{', '.join(upstream)}"] if upstream else [])]

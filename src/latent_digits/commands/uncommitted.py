"""Which stages have results here that are not committed: `make uncommitted`, after `make repro`.

Results in git are results of the code in git, and the same on every machine: what `make repro` has
changed is what the author has still to commit. Exit code 1 if there is any.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from latent_digits.console import UserError, run_stage
from latent_digits.project import yaml_files
from latent_digits.project.provenance import Study, git, read_study


def main() -> None:
    study = read_study(Path.cwd())
    sentences = list(uncommitted(study, committed_lock(study.folder)))
    print("\n".join(sentences) or "The results of every stage are committed.")
    sys.exit(bool(sentences))


def committed_lock(folder: Path) -> Mapping[str, Any]:
    """The stages in the last commit's `dvc.lock`; none where it has none."""
    if not git(folder, "rev-parse", "--quiet", "--verify", "HEAD"):
        raise UserError(
            f"{folder} has no commit to compare with; run this in a git clone of the project."
        )
    if not git(folder, "ls-tree", "HEAD", "--", "dvc.lock"):
        return {}
    try:
        return (yaml_files.parse(git(folder, "show", "HEAD:./dvc.lock")) or {}).get("stages", {})
    except yaml.YAMLError:
        raise UserError(
            "dvc.lock of the last commit is no readable YAML file; `make repro` makes a new one, "
            "commit that."
        ) from None


def uncommitted(study: Study, before: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each stage that was not run as it is here, or is not committed as it was."""
    current = study.made({})
    for stage in study.stages:
        if stage not in current:
            yield f"{stage}: has no results of the code, data and parameters here; `make repro`."
            continue
        changed = [path for path in study.outputs(stage) if is_changed(study.folder, path)]
        if study.lock.get(stage) != before.get(stage):
            changed = ["dvc.lock", *changed]
        if changed:
            yield f"{stage}: commit {', '.join(changed)}."
    for stage in before.keys() - study.stages.keys() - study.lock.keys():
        yield f"{stage}: is no stage any more; commit dvc.lock without it."


def is_changed(folder: Path, path: str) -> bool:
    """Whether git would commit something there; what only DVC keeps is known by `dvc.lock`."""
    return bool(git(folder, "status", "--porcelain", "--", path))


if __name__ == "__main__":
    run_stage(main)

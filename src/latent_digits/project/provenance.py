"""What a file was made from: the digests, parameters and commit behind a stage's outputs.

A version of the study is everything that determines its outputs: the commands, the files that no
stage writes, and the parameters, as `dvc.yaml` names them. It is known before any stage runs.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from latent_digits.console import UserError, say_once
from latent_digits.data.storage import files_of
from latent_digits.project import yaml_files

Digests = dict[str, str]  # md5 by path, as in dvc.lock


@dataclass(frozen=True)
class Study:
    """`dvc.yaml`, `dvc.lock` and `params.yaml` of the project in `folder`, as they are now."""

    folder: Path
    stages: Mapping[str, Any]
    lock: Mapping[str, Any]
    params: Mapping[str, Any]

    @cached_property
    def makers(self) -> dict[str, str]:
        """The stage that writes each output."""
        return {path: stage for stage in self.stages for path in self.outputs(stage)}

    def dependencies(self, stage: str) -> list[str]:
        return self.stages[stage].get("deps", [])

    def outputs(self, stage: str) -> list[str]:
        """The paths of outs, metrics and plots, with or without options."""
        kinds = (self.stages[stage].get(kind, []) for kind in ("outs", "metrics", "plots"))
        entries = chain.from_iterable(kinds)
        return sorted(next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries)

    def parameters(self, stage: str) -> dict[str, Any]:
        """The values that a stage reads, by their dotted names."""
        return {name: value_at(self.params, name) for name in self.stages[stage].get("params", [])}

    @cached_property
    def sources(self) -> Digests:
        """The digests of all files that a stage reads and no stage writes, but for missing ones."""
        paths = {path for stage in self.stages for path in self.dependencies(stage)}
        there = [path for path in paths - set(self.makers) if (self.folder / path).exists()]
        return self.digests(sorted(there))

    def digests(self, paths: list[str]) -> Digests:
        """The digests of files and folders as they are now."""
        return {path: digest(self.folder / path) for path in paths}

    @cached_property
    def fingerprint(self) -> str:
        """A name for this version of the study: equal when nothing that matters differs."""
        facts = {
            stage: {
                "cmd": self.stages[stage]["cmd"],
                "deps": {path: self.sources.get(path) for path in self.dependencies(stage)},
                "params": self.parameters(stage),
            }
            for stage in self.stages
        }
        return digest_of(facts)

    @cached_property
    def commit(self) -> tuple[str, bool]:
        """The commit, and whether anything but outputs and `dvc.lock` differs from it.

        (These change while stages run.) Nothing and False outside of git; nothing and True where
        git refuses to say.
        """
        apart = [f":(exclude){path}" for path in (*self.makers, "dvc.lock")]
        try:
            commit = git(self.folder, "rev-parse", "--quiet", "--verify", "HEAD")
            return commit, bool(git(self.folder, "status", "--porcelain", "--", ".", *apart))
        except UserError as error:
            say_once(f"{error} Until then runs are logged without a commit.")
            return "", True

    def made(self, just_made: Mapping[str, Digests]) -> dict[str, Digests]:
        """The outputs of each stage that is done in this version, by `dvc.lock`.

        `just_made` holds those of a stage that has ended and that `dvc.lock` does not know yet.
        """
        found: dict[str, Digests] = {}
        for stage in self.stages:  # a stage comes after those that it reads from
            if stage in just_made:
                found[stage] = just_made[stage]
            elif self.is_locked(stage, found):
                found[stage] = locked(self.lock[stage], "outs")
        return found

    def is_locked(self, stage: str, made: Mapping[str, Digests]) -> bool:
        """Whether `dvc.lock` holds `stage` as it would run now, after the stages in `made`."""
        entry = self.lock.get(stage)
        if not entry or entry["cmd"] != self.stages[stage]["cmd"]:
            return False
        before = {path: md5 for outputs in made.values() for path, md5 in outputs.items()}
        now = {path: (self.sources | before).get(path) for path in self.dependencies(stage)}
        params = entry.get("params", {}).get("params.yaml", {})
        return locked(entry, "deps") == now and params == self.parameters(stage)


def read_study(folder: Path) -> Study:
    """The study as its files say now; raises UserError when these are not there or no YAML."""
    if not (folder / "dvc.yaml").exists():
        raise UserError(f"dvc.yaml is not in {folder}; run from the project's top folder.")

    def read(name: str) -> Any:
        path = folder / name
        return (yaml_files.read(path) if path.exists() else None) or {}

    stages, lock = (stages_in(name, read(name)) for name in ("dvc.yaml", "dvc.lock"))
    params = read("params.yaml")
    if not isinstance(params, dict):
        raise UserError(f"params.yaml of {folder} holds no keys and values; restore it with git.")
    return Study(folder, stages, lock, params)


def stages_in(name: str, content: Any) -> dict[str, Any]:
    """The stages of `dvc.yaml` or `dvc.lock`; none of an empty file or of a lock of old."""
    stages = (content.get("stages") or {}) if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(
        isinstance(one, dict) and "cmd" in one for one in stages.values()
    ):
        raise UserError(f"{name} has no stages with commands in it; `git checkout {name}`.")
    return stages


def locked(entry: Mapping[str, Any], kind: str) -> Digests:
    return {one["path"]: one["md5"] for one in entry.get(kind, [])}


def value_at(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values


def digest(path: Path) -> str:
    """The md5 of a file or, as DVC has it, of a folder's list of files."""
    if not path.is_dir():
        return md5(path.read_bytes())
    files = {one.relative_to(path).as_posix(): one for one in files_of(path)}
    listed = [{"md5": digest(files[name]), "relpath": name} for name in sorted(files)]
    return f"{digest_of(listed)}.dir"


def digest_of(value: Any) -> str:
    """The md5 of plain values: equal for equal ones."""
    return md5(json.dumps(value, sort_keys=True).encode())


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing where it finds nothing, outside of a repository for one.

    Raises UserError when it refuses, as it does in a folder of another user.
    """
    command, plain = ["git", *arguments], os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=plain, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    if done.returncode > 1 and "not a git repository" not in done.stderr:
        reason = " ".join(done.stderr.split())
        raise UserError(f"git cannot read {folder} ({reason}); fix this as git says.")
    return done.stdout.strip()


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) for every leaf of a nested mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

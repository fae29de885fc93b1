"""The study again from nothing, in a copy, and whether that gives the bytes of `dvc.lock`.

`make verify` runs every stage, `make verify STAGE=finetune` one: on the outputs that `dvc.lock`
names for the stages before it, where they are here or can be fetched; the others are made as well.
The copy lies in `.resume/verify/`, where the same command finds it after a kill. It has a DVC
cache, a resume cache and a tracking store of its own, so that nothing is taken from earlier runs
and nothing in the workspace changes but `reports/verified.json`, the record of what was found, to
which a verification adds its stages when all have ended. Exit code 0 only if all is equal.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import processor, python_version
from typing import IO

import psutil
import torch
from dvc.repo import Repo

from latent_digits.arithmetic import COMPUTING, CPU
from latent_digits.commands.differences import differences
from latent_digits.console import UserError, duration, run_stage, say
from latent_digits.data.fingerprint import fingerprint
from latent_digits.data.storage import (
    Row,
    files_of,
    read_json,
    require_room,
    write_bytes,
    write_json,
)
from latent_digits.project.provenance import Digests, Study, digest, git, locked, md5, read_study
from latent_digits.report.verified import FILE, Machine, Verification, Verified, read_verified
from latent_digits.tracking.addresses import sqlite_address
from latent_digits.tracking.faults import one_line

FOLDER = Path(".resume/verify")
Found = tuple[str, str, list[str]]  # stage, output, how it differs
COPIED = (
    *("dvc.yaml", ".dvcignore", "params.yaml", "requirements.lock", "src", "stages"),
    *("data/.gitignore", "data/own", "reports/ablation.json", "reports/replicas.json"),
)


def main() -> None:
    arguments = [one for one in sys.argv[1:] if one]
    study = read_study(Path.cwd())
    chosen = stages_of(study, arguments)
    if not FILE.exists():
        write_json(FILE, Verified().model_dump())
    read_verified(FILE)  # a damaged one is said now, and not when all has been made
    commit = commit_of(study)
    for sentence in compared_with(study):
        say(f"verify: {sentence}")
    require_room(study.folder)
    place = FOLDER / (arguments[0] if arguments else "study")
    with alone(place.with_suffix(".lock")) as lock:
        copy = Copy(study, place, lock)
        if stale := [stage for stage in chosen if stage not in copy.current()]:
            say(
                f"verify: {', '.join(stale)} may differ since dvc.lock has them of other code, "
                "data or parameters; `make repro` makes them anew."
            )
        found = list(compare(study, copy.folder, copy.make(chosen)))
        record(study, commit, copy.runs, found)
        copy.mark.unlink()  # the next verification begins from nothing
        print_table(found)
        unequal = sum(bool(lines) for _, _, lines in found)
        if unequal:
            print(f"\n{unequal} of {len(found)} outputs differ; those made here are in {place}.")
            sys.exit(1)
        print(f"\nAll {len(found)} outputs are, to the byte, those of dvc.lock.")
        copy.remove()


def stages_of(study: Study, arguments: list[str]) -> list[str]:
    """The stages to verify, all of which `dvc.lock` must know."""
    unknown = [one for one in arguments if one not in study.stages]
    if unknown or len(arguments) > 1:
        raise UserError(
            f"verify takes one stage or none, not {' '.join(arguments)!r}; "
            f"stages are {', '.join(study.stages)}."
        )
    chosen = arguments or list(study.stages)
    never = [stage for stage in chosen if stage not in study.lock]
    if never:
        raise UserError(
            f"dvc.lock has no results of {', '.join(never)} to compare with; `make repro` makes "
            "them, `git checkout dvc.lock` restores those of the commit."
        )
    return chosen


def compared_with(study: Study) -> Iterator[str]:
    """What is verified against what, where that is not simply this commit."""
    try:
        commit, changed = state_of(study)
    except UserError as error:
        commit, changed = "", []
        yield f"{error}"
    if not commit:
        yield "no commit is known here; compared with the dvc.lock that lies here."
    elif changed:
        names = ", ".join(line.split()[-1] for line in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        yield (
            f"not that of commit {commit}: {names}{more} changed. The code in this folder is run, "
            "and compared with the dvc.lock in this folder."
        )
    else:
        yield f"the code of commit {commit}, compared with its dvc.lock."


def state_of(study: Study) -> tuple[str, list[str]]:
    """The commit, and what git says is not as there, but for the record."""
    commit = git(study.folder, "rev-parse", "--quiet", "--verify", "--short=7", "HEAD")
    others = (":/", f":(exclude){FILE}")
    return commit, git(study.folder, "status", "--porcelain", "--", *others).splitlines()


def commit_of(study: Study) -> str:
    """The commit as the record names it; nothing where none is known."""
    with suppress(UserError):  # which is said beside
        commit, changed = state_of(study)
        return commit and commit + (" with changes" if changed else "")
    return ""


class Copy:
    """The project's code in a folder of its own, in which a study is made."""

    def __init__(self, study: Study, place: Path, lock: IO[str]):
        self.study, self.place, self.lock = study, place, lock
        self.folder = study.folder / place
        self.mark = self.folder / "verifying"
        code = [path for part in COPIED for path in files_of(study.folder / part)]
        record = record_of(study)
        files = study.digests([str(path) for path in code]) | {str(FILE): md5(record)}
        key = fingerprint(files, torch.__version__)
        if not (self.mark.exists() and self.mark.read_text() == key):
            self.remove()
            self.fill(code)
            write_bytes(self.folder / FILE, record)
            self.mark.write_text(key)
        # With our lock nobody works here: what DVC noted of a killed process is void.
        (self.folder / ".dvc/tmp/rwlock").unlink(missing_ok=True)

    def fill(self, code: list[Path]) -> None:
        for path in code:
            target = self.folder / path.relative_to(self.study.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        config = self.folder / ".dvc/config"
        config.parent.mkdir()
        config.write_text("[core]\n    no_scm = True\n    analytics = false\n")

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def current(self) -> set[str]:
        """The stages that `dvc.lock` has of what lies in the copy."""
        return {*replace(read_study(self.folder), lock=self.study.lock).made({})}

    def make(self, chosen: list[str]) -> list[str]:
        """Make the outputs of these stages; returns all stages that were run for that."""
        before = [one for one in self.needed(chosen, lambda stage: False) if one not in chosen]
        fetch(self.study, {k: v for one in before for k, v in self.outputs(one).items()})
        stages = self.needed(chosen, self.bring)
        if more := [one for one in stages if one not in chosen]:
            say(
                f"verify: not all that {', '.join(more)} wrote is here or at a DVC remote; it is "
                "made as well."
            )
        done = read_study(self.folder).lock  # before a kill
        left = [one for one in stages if one not in done]
        before_this = read_verified(FILE).stages.items()
        earlier = {stage: one.seconds for stage, one in before_this if one.seconds}
        began, spent = time.monotonic(), 0.0
        while left:
            rest = ""
            if earlier.keys() >= {*left}:
                pace = (time.monotonic() - began) / spent if spent else 1.0
                rest = f"; about {duration(pace * sum(earlier[one] for one in left))} left"
            stage = left.pop(0)
            say(f"verify: {stage}, {stages.index(stage) + 1} of {len(stages)}{rest}")
            self.repro(stage)
            spent += earlier.get(stage, 0.0)
        return stages

    def needed(self, chosen: list[str], is_here: Callable[[str], bool]) -> list[str]:
        """`chosen`, and of what they read, directly or not, the stages whose outputs are not here.

        A stage is asked about once, and only if what is needed reads from it.
        """
        found = set(chosen)
        for stage in reversed([*self.study.stages]):  # each comes after those that it reads from
            read = {path for one in found for path in self.study.dependencies(one)}
            if stage not in found and read & {*self.study.outputs(stage)} and not is_here(stage):
                found.add(stage)
        return [stage for stage in self.study.stages if stage in found]

    def outputs(self, stage: str) -> Digests:
        """A stage's outputs as `dvc.lock` has them."""
        return locked(self.study.lock.get(stage, {}), "outs")

    def bring(self, stage: str) -> bool:
        """Copy a stage's outputs as `dvc.lock` has them, if all are here."""
        named = self.outputs(stage)
        return bool(named) and all(
            restore(self.study, path, md5, self.folder / path) for path, md5 in named.items()
        )

    def repro(self, stage: str) -> None:
        command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]
        env, keep = environment(self.folder), (self.lock.fileno(),)
        # What it prints goes beside ours, on the error stream: the table alone is the output. On
        # Ctrl-C, which it gets too, it ends after us, and keeps our lock until then.
        whole = stage not in self.runs  # begun before, it goes on now: no time of it would be true
        self.note(stage, None)
        began = time.monotonic()
        with subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=2, pass_fds=keep
        ) as process:
            failed = process.wait()
        if failed:
            raise UserError(
                f"{stage} failed in {self.place}, as its lines above say; once that is fixed, the "
                "same command goes on from there."
            )
        self.note(stage, round(time.monotonic() - began, 1) if whole else None)

    @property
    def runs(self) -> dict[str, Row]:
        """When, how long and on what each stage ran here; it lasts over a kill."""
        path = self.folder / "runs.json"
        return read_json(path) if path.exists() else {}

    def note(self, stage: str, seconds: float | None) -> None:
        run = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "seconds": seconds, **here()}
        write_json(self.folder / "runs.json", self.runs | {stage: run})


def record_of(study: Study) -> bytes:
    """The record that the report in `dvc.lock` was made with, if git has it, else the one here.

    Every verification changes the one here, and not what `plot` has made before.
    """
    with suppress(UserError):  # git has none, or is not to be asked
        committed = git(study.folder, "show", f"HEAD:./{FILE}").encode() + b"\n"
        if md5(committed) in locked(study.lock.get("plot", {}), "deps").values():
            return committed
    return (study.folder / FILE).read_bytes()


def here() -> Row:
    """This machine, and the versions of what computes."""
    lines = Path(CPU).read_text(errors="replace").splitlines() if Path(CPU).exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine = Machine(
        processor=names[0] if names else processor(),
        logical_cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30),
    )
    versions = {"python": python_version()} | {name: version(name) for name in COMPUTING}
    return {"machine": machine.model_dump(), "versions": versions}


def record(study: Study, commit: str, runs: dict[str, Row], found: list[Found]) -> None:
    """Write what was found of these stages into the record; other stages keep what they have."""
    with alone(FOLDER / "record.lock"):
        stages = read_verified(FILE).stages
        for stage in {stage for stage, _, _ in found}:
            stages[stage] = Verification(
                commit=commit,
                outputs=locked(study.lock[stage], "outs"),
                different=[path for of, path, lines in found if of == stage and lines],
                **runs[stage],
            )
        ordered = {stage: stages[stage] for stage in study.stages if stage in stages}
        write_json(FILE, Verified(stages=ordered).model_dump())
    say(f"verify: recorded in {FILE}; `make repro` prints it in the report; commit both.")


@contextmanager
def alone(path: Path) -> Iterator[IO[str]]:
    """A block that one process runs at a time, and the lock of that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("verify: another process verifies the same; waiting for its end.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def environment(folder: Path) -> dict[str, str]:
    """This environment, with the code in `folder` first and a tracking store of its own."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "DVC_STAGE")}
    return inherited | {
        "PYTHONPATH": str(folder / "src"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": sqlite_address(folder / "mlflow.db"),
    }


def fetch(study: Study, outputs: Digests) -> None:
    """Have DVC fetch into its cache, all at once, what of these outputs is not here."""
    away = [
        path
        for path, md5 in outputs.items()
        if path in study.makers and located(study, path, md5) is None
    ]
    if not away:
        return
    with Repo(str(study.folder)) as repo:
        if repo.config["remote"]:
            try:
                repo.fetch(away)
            except Exception as error:  # DVC's, its storage's
                say(f"verify: the remote does not give all that is asked for ({one_line(error)}).")


def located(study: Study, path: str, md5: str) -> dict[Path, Path] | None:
    """Where each file of an output lies as `dvc.lock` has it, by its place in the output.

    That is in the workspace or in DVC's cache; None where one is missing.
    """
    here = study.folder / path
    if here.exists() and digest(here) == md5:
        return {file.relative_to(here): file for file in files_of(here)}
    with Repo(str(study.folder)) as repo:
        cache = repo.cache.local
    found = {Path(): Path(cache.oid_to_path(md5))}
    if md5.endswith(".dir") and found[Path()].exists():
        members = read_json(found[Path()])
        found = {Path(one["relpath"]): Path(cache.oid_to_path(one["md5"])) for one in members}
    return found if all(file.exists() for file in found.values()) else None


def restore(study: Study, path: str, md5: str, target: Path) -> bool:
    """Write an output as `dvc.lock` has it to `target`; whether that could be."""
    found = located(study, path, md5)
    if found is None:
        return False
    shutil.rmtree(target, ignore_errors=True)  # half of a folder, after a kill
    if md5.endswith(".dir"):
        target.mkdir(parents=True)
    for place, file in found.items():
        copy = target / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)  # without the cache's mode, which is to be read alone
    return digest(target) == md5  # a cache may be damaged


def compare(study: Study, folder: Path, stages: list[str]) -> Iterator[Found]:
    """(stage, output, how it differs) for all outputs of the stages; no line where it is equal."""
    named = {stage: locked(study.lock.get(stage, {}), "outs") for stage in stages}
    pairs = {path: md5 for outputs in named.values() for path, md5 in outputs.items()}
    unequal = {path: md5 for path, md5 in pairs.items() if digest(folder / path) != md5}
    fetch(study, unequal)
    for stage in stages:
        for path in sorted(named[stage]):
            before = folder / "originals" / path
            if path not in unequal:
                yield stage, path, []
            elif restore(study, path, unequal[path], before):
                yield stage, path, differences(before, folder / path)
            else:
                yield stage, path, ["its original is not here"]


def print_table(rows: list[Found]) -> None:
    width = max(len(path) for _, path, _ in rows)
    for stage, path, lines in rows:
        print(f"{stage:14} {path:{width}}  {'different' if lines else 'equal'}")
        for line in lines:
            print(f"{'':14} {line}")


if __name__ == "__main__":
    run_stage(main)

"""This tree against a revision of git: `make compare BASE=main` and `make gate BASE=main`.

`compare` prints the headlines and writes `reports/compare.md`, `.html` and `.json`, which are not
in git. With `--gate` it ends with 0: passes; 1: a metric is worse beyond its tolerance; 2: the
results are not those of the tree; 3: not comparable, or no base; 4: asked wrongly. (`make` itself
ends with 2 whatever fails, and says the code.)
"""

import argparse
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from dvc.exceptions import DvcException
from rich.console import Console
from rich.table import Table

from latent_digits.comparison.assembly import compared
from latent_digits.comparison.gate import INCOMPARABLE, MISUSE
from latent_digits.comparison.markdown import ARROWS, ENDS, change, number, plural, render
from latent_digits.comparison.page import PICTURES, page
from latent_digits.comparison.pictures import model_of, pictures
from latent_digits.comparison.revisions import (
    NoBaseError,
    OldBaseError,
    Revision,
    committed,
    working_tree,
)
from latent_digits.comparison.values import SYMBOLS, Comparison, Side
from latent_digits.console import UserError, run_stage, say
from latent_digits.data.storage import write_text
from latent_digits.project.params import load_params
from latent_digits.project.provenance import digest, locked

PAGES = Path("reports")
FIGURES = Path("reports/figures")
SWITCH = {"": False, "0": False, "1": True}


def main() -> None:
    arguments = parsed_arguments()
    try:
        comparison = compare(arguments)
    except NoBaseError as error:
        say(f"{arguments.name}: {error}")
        neutral = arguments.neutral and isinstance(error, OldBaseError)
        sys.exit(0 if neutral else INCOMPARABLE)
    except UserError as error:
        say(f"{arguments.name}: {error}")
        sys.exit(MISUSE)
    except Exception:  # our own fault, and not to be taken for a verdict
        traceback.print_exc()
        sys.exit(MISUSE)
    print_summary(comparison)
    gate = comparison.gate
    if arguments.gate and not (arguments.neutral and gate.neutral):
        sys.exit(gate.exit)


class Parser(argparse.ArgumentParser):
    """Ends with the gate's code for what was asked wrongly."""

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: {message}.")
        sys.exit(MISUSE)


def parsed_arguments() -> argparse.Namespace:
    parser = Parser(prog="compare", description="This tree against a revision.")
    parser.add_argument("base", nargs="?", default="", help="a commit, branch or tag")
    parser.add_argument("--gate", action="store_true", help="end with the gate's code")
    parser.add_argument("--neutral", action="store_true", help="a base of old is no failure")
    parser.add_argument("--strict", default="", help="1: fail unless no metric can be worse")
    parser.add_argument("--accept-new-test-set", default="", help="1: another test set is meant")
    arguments = parser.parse_args()
    arguments.name = "gate" if arguments.gate else "compare"
    for name in ("strict", "accept_new_test_set"):
        text = getattr(arguments, name)
        if text not in SWITCH:
            parser.error(f"{name.upper()} is {text!r}; it should be 1, or not be set")
        setattr(arguments, name, SWITCH[text])
    if arguments.base.startswith("-"):
        parser.error(f"BASE is {arguments.base!r}; it should be a commit, a branch or a tag")
    return arguments


def compare(arguments: argparse.Namespace) -> Comparison:
    """The comparison, and its three pages."""
    params = load_params()
    here = Path.cwd()
    head = working_tree(here)
    with committed(here, arguments.base) as base:
        comparison = compared(
            base,
            head,
            accept_new_test_set=arguments.accept_new_test_set,
            strict=arguments.strict,
        )
        pairs = {name: (base.folder / FIGURES / name, here / FIGURES / name) for name in PICTURES}
        figures = {
            name: pair
            for name, pair in pairs.items()
            if all(path.exists() for path in pair) and differ(*pair)
        }
        before, after = (model_of_side(comparison, one, head) for one in (base, head))
        html = page(comparison, figures, pictures(comparison, before, after, params))
    write_text(PAGES / "compare.json", comparison.model_dump_json(indent=2) + "\n")
    write_text(PAGES / "compare.md", render(comparison))
    write_text(PAGES / "compare.html", html)
    return comparison


def model_of_side(comparison: Comparison, side: Revision, here: Revision) -> Path | None:
    """The model of a side whose images got worse, from here or DVC's cache, if it is there."""
    path = f"data/models/{model_of(comparison)}.safetensors"
    stage = side.study.makers.get(path)
    md5 = locked(side.study.lock.get(stage, {}), "outs").get(path) if stage else None
    if md5 is None:
        return None
    file = here.folder / path
    if file.exists() and digest(file) == md5:
        return file
    from dvc.repo import Repo  # takes a second

    with suppress(DvcException), Repo(str(here.folder)) as repo:
        file = Path(repo.cache.local.oid_to_path(md5))
        return file if file.exists() else None
    return None


def differ(before: Path, after: Path) -> bool:
    return before.read_bytes() != after.read_bytes()


def print_summary(one: Comparison) -> None:
    """The gated metrics as a table, and where to read on."""
    screen = Console(highlight=False, markup=False)
    if not screen.is_terminal:
        screen.width = 160  # of a file or a log nobody knows how wide it is looked at
    screen.print(one.sentence, style="bold", soft_wrap=True)
    screen.print(f"base  {side_line(one.base)}\nthis  {side_line(one.head)}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, right in (("metric", 0), ("base", 1), ("this", 1), ("change (95 %)", 1)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    table.add_column("tolerance", justify="right")
    table.add_column("verdict")
    for row in one.metrics:
        verdict = SYMBOLS[row.verdict] + (", beyond tolerance" if row.beyond else "")
        style = {"better": "green", "worse": "red"}.get(row.verdict, "")
        table.add_row(
            f"{row.name} {ARROWS[row.better]}".rstrip(),
            number(row.base),
            number(row.head),
            change(row),
            "" if row.tolerance is None else f"{row.tolerance:g}",
            f"({verdict})" if one.stale else verdict,
            style=style,
        )
    screen.print(table)
    for stale in one.stale:
        screen.print(f"{stale.stage}: {'; '.join(stale.causes)}", soft_wrap=True)
    for note in [*one.notes, ENDS[one.gate.exit], *one.gate.reasons]:
        screen.print(note, soft_wrap=True)
    screen.print(
        f"{PAGES}/compare.html has the curves, images and reasons.", markup=False, soft_wrap=True
    )


def side_line(side: Side) -> str:
    known = f" {side.commit[:7]} {side.subject}" if side.commit else ""
    changes = ", with changes" if side.changes else ""
    return f"{side.revision}{known}{changes}; {plural(side.seeds, 'seed')}"


if __name__ == "__main__":
    run_stage(main)

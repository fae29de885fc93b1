"""The comparison as the summary of a CI job, or on the terminal: `make summary`.

It tells why there is no comparison as well, so a job has a summary in any case. Where the gate did
not judge, a notice says so.
"""

import os
from pathlib import Path

from pydantic import ValidationError

from latent_digits.comparison.gate import INCOMPARABLE
from latent_digits.comparison.markdown import render
from latent_digits.comparison.values import Comparison
from latent_digits.console import run_stage
from latent_digits.github.cutting import cut, in_bytes

FILE = Path("reports/compare.json")
MOST = 900_000  # bytes; GitHub takes 1 MiB a step
CUT = "**Cut here**, for its length: the whole is in `compare.html`, among the run's artifacts."


def main() -> None:
    text, judged = written(FILE)
    text = cut(text, MOST, CUT, in_bytes)
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        print(text)
        return
    with Path(place).open("a", encoding="utf-8") as summary:
        summary.write(f"{text}\n")
    if not judged:
        print("::notice title=Gate::The gate did not judge; the summary says why.")


def written(file: Path) -> tuple[str, bool]:
    """The comparison in Markdown, or a sentence in its place; and whether the gate could judge."""
    try:
        found = Comparison.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        text = f"**No comparison**: `make compare` has not written {file}; its log says why."
        return text, False
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        return (
            f"**No comparison**: {file} is none (at `{place or 'its beginning'}`); `make compare` "
            "writes it anew."
        ), False
    return render(found), found.gate.exit != INCOMPARABLE


if __name__ == "__main__":
    run_stage(main)

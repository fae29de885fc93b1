"""What was made from what, as MLflow knows it: a command.

python -m latent_digits.commands.lineage FILE | RUN_ID | models:/NAME@ALIAS | models:/NAME/VERSION
"""

import argparse
import sys

from latent_digits.console import UserError, run_stage
from latent_digits.tracking.addresses import place
from latent_digits.tracking.faults import one_line
from latent_digits.tracking.mlflow.lineage import Lineage

HELP = """\
What was made from what. For each stage's run behind a THING, at most eight lines:

  stage    the stage of dvc.yaml that ran
  run      the id of its run in MLflow, how it ended and when it began
  study    the parent run (a version of code, parameters and data) that it ran in
  commit   of the code, and whether there were changes that no commit has
  data     the parts of MNIST that it read
  params   from params.yaml and the search, as many as fit the line
  models   that it trained, as registered in MLflow; the best is the champion
  files    how many it read and wrote

A THING is a file that a stage wrote (as it is now), a run's id, or a registered model."""
EXAMPLE = """\
example, of a file: its commit, data, run and model, then every byte again

  $ python -m latent_digits.commands.lineage data/models/ae.safetensors
  $ python -m latent_digits.commands.lineage data/models/ae.safetensors --files
  $ python -m latent_digits.commands.lineage models:/latent-digits-ae@champion --verify"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m latent_digits.commands.lineage",
        description=HELP,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "thing", metavar="THING", help="FILE | RUN_ID | models:/NAME@ALIAS | models:/NAME/VERSION"
    )
    parser.add_argument(
        "--files",
        action="store_true",
        help="list every parameter, and every file that was read or written with its md5",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="hash all these files again, and the models' weights in MLflow; say what does not "
        "match, and end with status 1 if anything does not",
    )
    arguments = parser.parse_args()
    try:
        lineage = Lineage()
        runs = lineage.runs_of(arguments.thing)
        for run in runs:
            print("\n".join(lineage.describe(run, arguments.files)))
        if not arguments.verify:
            return
        faults = sorted({fault for run in runs for fault in lineage.faults(run)})
    except UserError:
        raise
    except Exception as error:  # MLflow's, its data base's, its HTTP client's
        raise UserError(f"{place()} cannot say: {one_line(error)}.") from None
    print("\n".join([*faults, f"verified: {len(faults)} do not match"]))
    sys.exit(bool(faults))


if __name__ == "__main__":
    run_stage(main)

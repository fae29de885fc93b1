"""The committed results as a report reads them, and the same as if they were of other data sets."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latent_digits.data.storage import Row, read_csv, read_json, write_csv, write_json
from latent_digits.project.params import load_params
from latent_digits.project.provenance import locked, read_study
from latent_digits.report.dataset_info import DIGITS
from latent_digits.report.inputs import Inputs
from smoke import PROJECT

RECORDS = ("replicas", "ablation")
WIDTHS = {"channels": [8, 16, 32], "units": 64}
# Of `claims.json`, what it takes labels for.
OF_LABELS = ("knn", "davies_bouldin", "zero_to_nine", "labels", "operations")


def inputs(
    folder: Path,
    name: str = "MNIST",
    classes: Sequence[str] = DIGITS,
    records: bool = True,
    **sections: Row,
) -> Inputs:
    """The results of the data set, or with no classes of one without labels.

    They are patched in a copy, in `folder`. Records are of their split, or of another; `sections`
    are entries of the parameters' sections.
    """
    reports = folder / "reports"
    ignored = shutil.ignore_patterns("figures", "*.html", "*.pdf")
    shutil.copytree(PROJECT / "reports", reports, ignore=ignored)
    split = read_json(reports / "hyperparameters.json")["split"] if records else "another"
    for record in RECORDS:
        path = reports / f"{record}.json"
        write_json(path, read_json(path) | {"split": split})
    if tuple(classes) != DIGITS:
        keep(reports, lambda key: not key.startswith("zero_to_nine"))
    if not classes:
        without_labels(reports)
    facts = {"data": {"name": name, "classes": list(classes), "size": 28}}
    found = Inputs.read(reports, params(**sections), digests(), facts)
    search = {"search": found.ablation["search"] | WIDTHS} if records else {}
    return replace(found, hparams=found.hparams | WIDTHS, ablation=found.ablation | search)


def params(**sections: Row) -> Row:
    """Those of the project, but for what tests are about."""
    found: Any = load_params(PROJECT / "params.yaml").model_dump()
    found["train_vae"] |= {"beta": 1.0}
    found["tune"]["space"] |= {name: [width] for name, width in WIDTHS.items()}
    for section, entries in sections.items():
        found[section] |= entries
    return found


def digests() -> dict[str, str]:
    """Of the data that the committed report was made of, which need not be here."""
    read = locked(read_study(PROJECT).lock["plot"], "deps")
    return {path: md5 for path, md5 in read.items() if path.startswith("data/")}


def without_labels(reports: Path) -> None:
    """What `finetune` and `evaluate` leave then."""
    keep(reports, lambda key: not key.startswith(OF_LABELS) and not key.endswith("accuracy"))
    details = read_json(reports / "evaluation.json")
    kept = {key: one for key, one in details.items() if not key.startswith(("classif", "labels"))}
    for one in kept.values():
        one.pop("davies_bouldin", None)
    write_json(reports / "evaluation.json", kept)
    histories = reports / "histories"
    for path in (*histories.glob("classifier*.csv"), *histories.glob("labels/*.csv")):
        write_csv(path, list(read_csv(path)[0]), [])


def keep(reports: Path, wanted: Any) -> None:
    """Of the claims' evidence."""
    path = reports / "claims.json"
    write_json(path, {key: one for key, one in read_json(path).items() if wanted(key)})

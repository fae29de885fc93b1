"""What the report is made of: the study's results as read, and every value that they hold."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Self

from latent_digits.catalogue import MODELS
from latent_digits.console import UserError
from latent_digits.data.storage import Row, read_csv, read_json
from latent_digits.report.claims import Judged, judged
from latent_digits.report.dataset_info import DatasetInfo
from latent_digits.report.published import ACCURACY, LEVEL, LOSS, MSE, published_values
from latent_digits.report.values import Seeds, Source, Value, over_seeds, values_of
from latent_digits.report.verified import FILE, Verified, read_verified

STAGE_OF = {
    **{"ae": "train_ae", "ae_2d": "train_ae", "denoiser": "train_denoise"},
    **{"vae": "train_vae", "vae_2d": "train_vae", "classifier": "finetune"},
    **{"classifier_random_encoder": "finetune", "classifier_end_to_end": "finetune"},
}
STAGE_OF_SERIES = {"latents": "train_ae", "labels": "finetune"}
STATES = ("complete", "pruned", "degenerate", "failed")
RESULTS = {
    **{"evaluation": "details", "hyperparameters": "hparams"},
    **{"ablation": "ablation", "replicas": "replicas", "claims": "evidence"},
}
RECORDS = ("ablation", "replicas")  # which a person makes, and not the study's run
SHORT = 12  # epochs, beside all
CONVENTIONS = Source("src/latent_digits/report/published.py", "set in the code")


@dataclass(frozen=True)
class Inputs:
    """What the report is made of, as read; `digests` are the MD5 of the files, by path.

    Histories are those of the trainings that there were. Ablation and replicas have no rows where
    they are of another split than the results.
    """

    dataset: DatasetInfo
    details: Row
    hparams: Row
    params: Row
    trials: list[Row]
    histories: dict[str, list[Row]]
    ablation: Row
    replicas: Row
    evidence: Row
    verified: Verified
    digests: Mapping[str, str]

    @classmethod
    def read(cls, reports: Path, params: Row, data: Mapping[str, str], facts: Row) -> Self:
        """From the folder of results, and the parameters that the report names.

        `data` are the digests of the other files that the figures are drawn from, `facts` those of
        the arrays.
        """
        folder = reports / "histories"
        series = [folder / one for one in STAGE_OF_SERIES]
        members = [path for one in series for path in sorted(one.glob("*.csv"))]
        tables = [*(folder / f"{name}.csv" for name in MODELS), *members]
        record = reports / FILE.name
        files = [reports / f"{name}.json" for name in RESULTS]
        files += [reports / "trials.csv", *tables, *series, record]
        results = {field: read_json(reports / f"{name}.json") for name, field in RESULTS.items()}
        trials = read_csv(reports / "trials.csv")
        histories = {
            path.relative_to(folder).with_suffix("").as_posix(): read_csv(path) for path in tables
        }
        dataset, split = DatasetInfo.of(facts["data"]), results["hparams"]["split"]
        for field in RECORDS:  # earlier versions did not say the split, and knew MNIST alone
            if results[field].get("split", split if dataset.is_mnist else None) != split:
                results[field] = {"rows": {}}
        digests = {f"reports/{one.relative_to(reports)}": digest(one) for one in files}
        return cls(
            **results,
            dataset=dataset,
            params=params,
            trials=trials,
            histories={model: history for model, history in histories.items() if history},
            verified=read_verified(record),
            digests={**digests, **data},
        )

    @property
    def has_seeds(self) -> bool:
        """Whether there are other seeds enough to say how much they move a value."""
        return len(self.replicas["rows"]) > 1

    @property
    def widths(self) -> list[str]:
        """The widths of layers between which the search had a choice."""
        space = self.params["tune"]["space"]
        return [name for name in ("channels", "units") if len(space[name]) > 1]

    @cached_property
    def claims(self) -> list[Judged]:
        most = self.params["tune"]["space"]["latent_dim"]["high"]
        known = self.evidence, self.details, self.histories, self.replicas
        return judged(*known, self.dataset, most)

    def source(self, path: str, command: str) -> Source:
        return Source(path, command, self.digests.get(path, ""))


def digest(path: Path) -> str:
    """That of a file, or of a folder of files, as DVC has it in dvc.lock."""
    if not path.is_dir():
        return md5(path.read_bytes())
    files = [{"md5": digest(one), "relpath": one.name} for one in sorted(path.iterdir())]
    return f"{md5(json.dumps(files, sort_keys=True).encode())}.dir"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def all_values(inputs: Inputs) -> Iterator[Value]:
    """Every value that a template may print."""
    seeds = over_seeds(inputs.replicas["rows"].values())
    evaluated = inputs.source("reports/evaluation.json", "dvc repro evaluate")
    yield from values_of(inputs.details, evaluated, seeds=seeds)
    tuned = inputs.source("reports/hyperparameters.json", "dvc repro tune")
    yield from values_of(inputs.hparams, tuned, "hparams.")
    yield from values_of(inputs.params, inputs.source("params.yaml", "set by a person"), "params.")
    arrays = inputs.source("data/arrays.safetensors", "dvc repro evaluate")
    dataset = {"size": inputs.dataset.size, "classes": len(inputs.dataset.classes)}
    yield from values_of(dataset, arrays, "data.")
    yield from values_of(counts(inputs.trials), inputs.source("reports/trials.csv", tuned.command))
    for model, history in inputs.histories.items():
        path = f"reports/histories/{model}.csv"
        stage = STAGE_OF.get(model) or STAGE_OF_SERIES[model.partition("/")[0]]
        source = inputs.source(path, f"dvc repro {stage}")
        kept = min(history, key=lambda row: row["val_loss"])
        yield from values_of(
            {"epochs": len(history), "kept": int(kept["epoch"]), "dead": dead(kept)},
            source,
            f"history.{model}.",
        )
    if inputs.ablation["rows"]:
        yield from ablation_values(inputs)
    if inputs.replicas["rows"]:
        replicas = inputs.source("reports/replicas.json", "make replicas")
        yield Value("replicas.commit", inputs.replicas["commit"], replicas, "commit")
    yield from values_of(
        {
            "level": f"{100 * (1 - LEVEL):.0f} %",
            "mse_margin": f"{100 * MSE:.0f} %",
            "loss_margin": f"{100 * LOSS:.0f} %",
            "accuracy_margin": f"{100 * ACCURACY:.1f} %",
        },
        CONVENTIONS,
        "conventions.",
    )
    yield from claim_values(inputs)
    if inputs.dataset.is_mnist:
        yield from published_values()


def claim_values(inputs: Inputs) -> Iterator[Value]:
    """Each claim's verdict, whose entry is what its rule has looked at."""
    source = inputs.source("reports/claims.json", "dvc repro evaluate")
    for one in inputs.claims:
        looked_at = ", ".join(one.evidence) or "no evidence"
        yield Value(f"claims.{one.id}", one.verdict, source, looked_at, as_given=one.verdict)


def counts(trials: Sequence[Row]) -> Row:
    states = [row["state"] for row in trials]
    return {"trials": {"all": len(states)} | {state: states.count(state) for state in STATES}}


def dead(row: Row) -> str:
    """The shares of dead units in a history's row: "encoder 0, 3 %; decoder 6 %"."""
    parts: dict[str, list[str]] = {}
    for name, share in row.items():
        if name.startswith("dead_"):
            part = name.removeprefix("dead_").rpartition("_")[0]
            parts.setdefault(part.replace("_", " "), []).append(f"{100 * share:.0f}")
    return "; ".join(f"{part} {', '.join(shares)} %" for part, shares in parts.items())


def ablation_values(inputs: Inputs) -> Iterator[Value]:
    """Mean ± standard deviation over the ablation's seeds, by cell."""
    source = inputs.source("reports/ablation.json", "make ablation")
    ablation = inputs.ablation
    for key in ("commit", "epochs"):
        yield Value(f"ablation.{key}", ablation[key], source, key)
    if "search" in ablation:
        trials = ablation["trials"].values()
        told = {"trials": len(trials), "epochs": max(len(one["val_mse"]) for one in trials)}
        yield from values_of(ablation["search"] | told, source, "ablation.search.")
    yield from head_values(ablation, source)
    cells = cells_of(ablation)
    yield Value("ablation.seeds", len(next(iter(cells.values()))), source, "rows")
    for (initial, warmup), rows in cells.items():
        for column, of_rows in ABLATED.items():
            name = f"ablation.{initial}.{warmup}.{column}"
            of_cell = [of_rows(row) for row in rows]
            spread = Seeds(fmean(of_cell), stdev(of_cell) if len(rows) > 1 else 0.0, len(rows))
            text = "{:.5f} ± {:.5f}" if "mse" in column else "{:.0%} ± {:.0%}"
            given = text.format(spread.mean, spread.deviation).replace("%", " %")
            entry = f"rows of {initial}, {warmup} steps"
            yield Value(name, spread.mean, source, entry, seeds=spread, as_given=given)


def head_values(ablation: Row, source: Source) -> Iterator[Value]:
    """Mean ± standard deviation of a head's accuracy over the ablation's seeds."""
    heads: dict[str, list[Row]] = {}
    for row in ablation["rows"].values():
        if "heads" in row:
            encoder = "pretrained" if "val_mse" in row else "untrained"
            heads.setdefault(encoder, []).append(row["heads"])
    for encoder, rows in heads.items():
        for latents in rows[0]:
            shares = [row[latents] for row in rows]
            spread = Seeds(fmean(shares), stdev(shares) if len(rows) > 1 else 0.0, len(rows))
            given = f"{100 * spread.mean:.2f} ± {100 * spread.deviation:.2f} %"
            name, entry = f"ablation.heads.{encoder}.{latents}", f"heads of {encoder}, {latents}"
            yield Value(name, spread.mean, source, entry, seeds=spread, as_given=given)


ABLATED: Any = {
    "short_mse": lambda row: row["val_mse"][:SHORT][-1],
    "mse": lambda row: row["val_mse"][-1],
    "mse_without_average": lambda row: row["val_mse_without_average"][-1],
    "dead_encoder": lambda row: row["dead"]["encoder_4"],
    "dead_decoder": lambda row: row["dead"]["decoder_2"],
}


def cells_of(ablation: Row) -> dict[tuple[str, int], list[Row]]:
    """The ablation's trainings by initial weights and steps of warm-up."""
    found: dict[tuple[str, int], list[Row]] = {}
    for row in ablation["rows"].values():
        if "val_mse" in row:
            found.setdefault((row["initial"], row["warmup"]), []).append(row)
    if len({len(of_cell) for of_cell in found.values()}) > 1:
        raise UserError("reports/ablation.json is not complete; `make ablation` goes on with it.")
    return found

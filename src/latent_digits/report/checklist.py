"""The reproducibility checklist, after those of NeurIPS and of Pineau et al. (2021): computed.

What a verification found is printed beside whether it is of this page's results, told by the
digests of the files that the page reads.
"""

from collections.abc import Callable, Iterator, Mapping

from latent_digits.catalogue import MODELS
from latent_digits.console import duration
from latent_digits.report.inputs import STAGE_OF, STAGE_OF_SERIES, Inputs
from latent_digits.report.tables import LEFT, RIGHT, markdown_table
from latent_digits.report.values import MARKED, Value, Values, values_of
from latent_digits.report.verified import Verification

MAKERS = {  # of what `plot` reads, and none of what it writes: no page holds its own digest
    "data/split/val.safetensors": "prepare",
    **{"reports/hyperparameters.json": "tune", "reports/trials.csv": "tune"},
    **{f"reports/histories/{model}.csv": stage for model, stage in STAGE_OF.items()},
    **{f"reports/histories/{series}": stage for series, stage in STAGE_OF_SERIES.items()},
    **{f"data/models/{model}.safetensors": stage for model, stage in STAGE_OF.items()},
    **{"data/arrays.safetensors": "evaluate", "reports/evaluation.json": "evaluate"},
    "reports/claims.json": "evaluate",
}
STAGES = (*dict.fromkeys(MAKERS.values()), "plot")
NONE = "not recorded yet"
VERSION = "verified.versions."
NAMED = 2  # outputs that are different, at most


def checklist_values(inputs: Inputs) -> Iterator[Value]:
    """What only the checklist prints: the record's findings, and how much was trained."""
    yield from verified_values(inputs)
    histories, replicas = inputs.histories.values(), inputs.replicas["rows"]
    trained = {"here": len(histories), "epochs": sum(map(len, histories))}
    yield from values_of(trained, inputs.source("reports/histories", "dvc repro"), "trained.")
    searched = {"search_epochs": sum(int(row["epochs"]) for row in inputs.trials)}
    trials = inputs.source("reports/trials.csv", "dvc repro tune")
    yield from values_of(searched, trials, "trained.")
    if replicas:
        models = [
            {key.partition(".")[0] for key in row.get("details", {})} for row in replicas.values()
        ]
        again = {
            "replicas": sum(is_trained(name) for one in models for name in one),
            "seeds": ", ".join(replicas),
        }
        source = inputs.source("reports/replicas.json", "make replicas")
        yield from values_of(again, source, "trained.")
    if inputs.ablation["rows"]:
        ablation = {
            "ablation": len(inputs.ablation["rows"]),
            "blind_trials": len(inputs.ablation.get("trials", {})),
        }
        source = inputs.source("reports/ablation.json", "make ablation")
        yield from values_of(ablation, source, "trained.")


def is_trained(name: str) -> bool:
    """Whether that is a model's name, and not PCA's."""
    return name in MODELS or name.partition("/")[0] in STAGE_OF_SERIES


def verified_values(inputs: Inputs) -> Iterator[Value]:
    source = inputs.source("reports/verified.json", "make verify")
    found = inputs.verified.stages
    for stage in STAGES:
        facts = findings(found[stage]) if stage in found else {"date": "not made again"}
        if stage in found and (read := read_of(stage, inputs.digests)):
            same = read.items() <= found[stage].outputs.items()
            facts["current"] = "yes" if same else "no, of other results"
        for name, text in facts.items():
            entry = f"stages.{stage}.{name}" if stage in found else f"no stages.{stage}"
            yield Value(f"verified.{stage}.{name}", text, source, entry)
    of_all = {"machine": by_stage(found, lambda one: one.machine.text)}
    for name in dict.fromkeys(name for one in found.values() for name in one.versions):
        of_all[f"versions.{name}"] = by_stage(
            found, lambda one, k=name: one.versions.get(k, "none")
        )
    if seconds := of_these_results(found, inputs.digests):
        of_all["whole"] = duration(sum(seconds))
    for name, text in of_all.items():
        yield Value(f"verified.{name}", text, source, f"{name} of all stages")


def of_these_results(
    found: Mapping[str, Verification], digests: Mapping[str, str]
) -> list[float] | None:
    """Each stage's seconds, where one verification on one machine made all that this page shows."""
    seconds = [one.seconds for one in found.values() if one.seconds is not None]
    once = len({(one.commit, one.machine.text) for one in found.values()}) == 1
    if not once or len(seconds) < len(STAGES):
        return None
    current = (read_of(stage, digests).items() <= found[stage].outputs.items() for stage in STAGES)
    return seconds if all(current) else None


def findings(one: Verification) -> dict[str, str]:
    count, different = len(one.outputs), one.different
    others = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
    but = f"; not {', '.join(different[:NAMED])}{others}" if different else ""
    return {
        "date": one.date,
        "commit": one.commit,
        "seconds": "–" if one.seconds is None else f"{one.seconds:.0f}",
        "equal": f"{count - len(different)} of {count}{but}" if but else f"all {count}",
    }


def read_of(stage: str, digests: Mapping[str, str]) -> dict[str, str]:
    """The digests of the stage's outputs that this page was made of."""
    return {path: md5 for path, md5 in digests.items() if MAKERS.get(path) == stage}


def by_stage(found: Mapping[str, Verification], text: Callable[[Verification], str]) -> str:
    """What is said of all stages, or of which, where it is not the same."""
    said: dict[str, list[str]] = {}
    for stage, one in found.items():
        said.setdefault(text(one), []).append(stage)
    if len(said) > 1:
        return "; ".join(f"{key} ({', '.join(stages)})" for key, stages in said.items())
    return next(iter(said), NONE)


def verified(values: Values) -> str:
    """The record as a table."""
    columns = ("date", "commit", "seconds", "equal", "current")
    names = {stage: [f"verified.{stage}.{column}" for column in columns] for stage in STAGES}
    rows = [
        (stage, *(values.show(name) if name in values else "–" for name in of_stage))
        for stage, of_stage in names.items()
    ]
    head = "Stage", "Made again", "Commit", "Seconds", "Equal outputs", "Of these results"
    return markdown_table(head, rows, (LEFT, LEFT, LEFT, RIGHT, LEFT, LEFT))


def checklist(dataset: str, values: Values, tables: Mapping[str, str]) -> str:
    """Each item with its answer, of a data set; `tables` are the report's, by what the text calls
    them.
    """
    v = values.show
    trainings = [
        f"{v('trained.here')} with {v('trained.epochs')} epochs in all, of which the best on "
        "validation are kept"
    ]
    seeds = "not known, see `make replicas`"
    if "trained.seeds" in values:
        trainings.append(f"{v('trained.replicas')} under other seeds")
        seeds = (
            f"mean ± sample standard deviation of seeds {v('trained.seeds')}, commit "
            f"{v('replicas.commit')}"
        )
    if "trained.ablation" in values:
        trainings.append(
            f"{v('trained.ablation')} of the ablation, and {v('trained.blind_trials')} trials of "
            "its search"
        )
    packages = [name.removeprefix(VERSION) for name in values if name.startswith(VERSION)]
    rows = [
        (
            "Data",
            f"{dataset}: {v('params.prepare.train')} images for training, "
            f"{v('params.prepare.val')} for validation, {v('params.prepare.test')} for the test",
        ),
        (
            "Seeds",
            f"of this run {v('params.seed')}, of the split {v('params.prepare.seed')}, "
            f"of the test's noise and samples {v('params.evaluate.seed')}",
        ),
        ("Trainings", "; ".join(trainings)),
        (
            "Hyperparameters",
            f"searched for in {v('trials.all')} trials with {v('trained.search_epochs')} epochs in "
            "all; the space is `tune.space` in `params.yaml`",
        ),
        (
            "Error bars",
            f"over images: interval of {v('conventions.level')} from "
            f"{v('params.evaluate.bootstrap_resamples')} bootstrap resamples; over seeds: {seeds}",
        ),
        ("Machine", v("verified.machine")),
        ("Versions", ", ".join(f"{one} {v(VERSION + one)}" for one in packages) or NONE),
        (
            "Time of all stages",
            v("verified.whole")
            if "verified.whole" in values
            else "not recorded of these results as a whole",
        ),
        ("Commands", commands(values, tables)),
    ]
    return markdown_table(("Item", "Answer"), rows)


def commands(values: Values, tables: Mapping[str, str]) -> str:
    """What makes each table again, by whence its values are."""
    found: dict[str, list[str]] = {}
    for title, text in tables.items():
        shown = [values[mark[1]] for mark in MARKED.finditer(text)]
        made = {one.source.command for one in shown}
        if "dvc repro evaluate" in made and any(one.seeds for one in shown):
            made.add("make replicas")
        for command in sorted(one for one in made if one.startswith(("dvc ", "make "))):
            found.setdefault(command, []).append(title)
    of_tables = [f"`{command}` {', '.join(titles)}" for command, titles in found.items()]
    return "; ".join(["`dvc repro` everything", *of_tables, "`dvc repro plot` figures"])

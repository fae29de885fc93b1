"""The report's tables, in Markdown, of values by name."""

from collections.abc import Iterable, Sequence

from latent_digits.catalogue import MODELS
from latent_digits.report.inputs import ABLATED, SHORT, Inputs, cells_of
from latent_digits.report.published import COMPARED, HYPERPARAMETERS, standing
from latent_digits.report.values import Source, Value, Values

LEFT, RIGHT = "---", "---:"


def tables(inputs: Inputs, values: Values) -> dict[str, str]:
    """The tables by the names that the template has for them."""
    v = values.show
    return {
        "results": compared(values),
        "data": markdown_table(
            ("Set", "Images", "Used for"),
            [
                ("training", v("params.prepare.train"), "weights"),
                ("validation", v("params.prepare.val"), "hyperparameters, early stopping, figures"),
                ("test", v("params.prepare.test"), "the numbers of this report"),
            ],
            (LEFT, RIGHT, LEFT),
        ),
        "hyperparameters": hyperparameters(values),
        "noise": noise(inputs, values),
        "claims": claims(inputs, values),
        "classifiers": classifiers(values),
        "ablation": ablated(inputs, values),
        "dead": markdown_table(
            ("Model", "Dead units"), [(name, v(f"history.{name}.dead")) for name in MODELS]
        ),
    }


def claims(inputs: Inputs, values: Values) -> str:
    """The verdicts as a table, and below it what each rests on."""
    rows = [
        (one.wording, one.where, values.show(f"claims.{one.id}"), one.scope or "–")
        for one in inputs.claims
    ]
    reasons = [f"- **{one.wording}** {one.because} *Rule: {one.rule}.*" for one in inputs.claims]
    head = "Claim", "In the original report", "Verdict", "Holds"
    return "\n".join([markdown_table(head, rows), "", *reasons])


def compared(values: Values) -> str:
    rows = []
    for one in COMPARED:
        paper, weights = f"paper.{one.name}", f"weights.{one.name}"
        rows.append(
            (
                one.title,
                values.show(paper) if paper in values else "–",
                values.show(weights) if weights in values else "–",
                values.show(one.name),
                values.show(one.name, "interval"),
                values.show(one.name, "over_seeds"),
                values.show(one.name, "trainings"),
                standing(values[one.name], one).verdict,
            )
        )
    head = (
        *("Quantity", "Original report", "Its weights", "This run", "Over images", "Over seeds"),
        *("Seeds", "Against its weights"),
    )
    return markdown_table(head, rows, (LEFT, *[RIGHT] * 6, LEFT))


def hyperparameters(values: Values) -> str:
    v = values.show
    given = ("latent_dim", "optimizer", "lr", "batch_size", "dropout")
    rows = [("original report, all", *(v(f"paper.{name}") for name in HYPERPARAMETERS))]
    rows.append(("autoencoder, denoiser, end to end", *(v(f"hparams.{name}") for name in given)))
    for title, section, latents in (
        ("autoencoder, plane", "train_ae.ae_2d", True),
        ("VAE", "train_vae.vae", False),
        ("VAE, plane", "train_vae.vae_2d", True),
        ("head of a classifier", "finetune.head", False),
    ):
        own = [v(f"params.{section}.{name}") for name in given[1:4]]
        dim = v(f"params.{section}.latent_dim") if latents else v("hparams.latent_dim")
        dropout = f"params.{section}.dropout"
        rows.append((title, dim, *own, v(dropout) if dropout in values else "–"))
    return markdown_table(("Training", *HYPERPARAMETERS), rows, (LEFT, RIGHT, LEFT, *[RIGHT] * 3))


def noise(inputs: Inputs, values: Values) -> str:
    kinds = {"as_described": "as described", "as_coded": "as coded", "figure_3": "in its figure"}
    rows = []
    for key, title in kinds.items():
        names = ("gaussian_mean", "gaussian_variance", "salt_pepper", "speckle_variance")
        rows.append((title, *(values.show(f"params.noise.{key}.{name}") for name in names)))
    head = "Noise", "Gaussian mean", "Gaussian variance", "Salt & pepper", "Speckle variance"
    return markdown_table(head, rows, (LEFT, *[RIGHT] * 4))


def classifiers(values: Values) -> str:
    rows = []
    for name, title in (
        ("classifier", "head on the pretrained encoder"),
        ("classifier_random_encoder", "the same head on an untrained encoder"),
        ("classifier_end_to_end", "everything trained end to end"),
    ):
        test = f"{name}.test_accuracy"
        rows.append(
            (
                title,
                values.show(f"{name}.trainable_parameters"),
                values.show(f"{name}.val_accuracy"),
                values.show(test),
                values.show(test, "interval"),
                values.show(test, "over_seeds"),
            )
        )
    head = "Classifier", "Trained parameters", "Validation", "Test", "Over images", "Over seeds"
    return markdown_table(head, rows, (LEFT, *[RIGHT] * 5))


def ablated(inputs: Inputs, values: Values) -> str:
    rows = [
        (
            initial,
            f"{warmup} steps",
            *(values.show(f"ablation.{initial}.{warmup}.{column}") for column in ABLATED),
        )
        for initial, warmup in cells_of(inputs.ablation)
    ]
    head = (
        *("Initial weights", "Warm-up", f"MSE after {SHORT} epochs", "MSE"),
        *("MSE without averaging", "Dead in the encoder", "Dead in the decoder"),
    )
    return markdown_table(head, rows, (LEFT, *[RIGHT] * 6))


def whence(values: Values) -> str:
    """The appendix: every printed value with its source, and what makes that again."""
    lines = ["## Whence", "", "Every value of this page, by the file that it is read from.", ""]
    by_source: dict[Source, list[Value]] = {}
    for value in values.printed.values():
        by_source.setdefault(value.source, []).append(value)
    for source in sorted(by_source, key=lambda one: one.name):
        digest = f"; MD5 {source.digest}" if source.digest else ""
        lines += [f"### {source.name}", "", f"Made by: {source.command}{digest}", ""]
        found = sorted(by_source[source], key=lambda one: one.name)
        lines += [f"- {one.entry}: {one.text}" for one in found]
        lines.append("")
    return "\n".join(lines)


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], sides: Sequence[str] = ()
) -> str:
    """A table; sides are those of the columns, left where none are given."""
    lines = [head, sides or [LEFT] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

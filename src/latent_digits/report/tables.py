"""The report's tables, in Markdown, of values by name."""

from collections.abc import Iterable, Sequence

from latent_digits.catalogue import MODELS
from latent_digits.report.inputs import ABLATED, SHORT, Inputs, cells_of
from latent_digits.report.published import COMPARED, HYPERPARAMETERS, standing
from latent_digits.report.values import Source, Value, Values

LEFT, RIGHT = "---", "---:"
MEASURED = {  # what a table of results has where there is nothing to compare it with
    "ae.test_mse": "Autoencoder, test MSE",
    "ae_2d.test_mse": "Autoencoder, Z = 2, test MSE",
    "denoiser.test_mse": "Denoiser, noise of its training",
    "denoiser.as_coded_test_mse": "Denoiser, another noise",
    "vae.test_loss": "VAE, test loss an image",
    "vae.test_squared_error": "… its squared error",
    "vae.test_kl": "… its KL divergence, nats",
    "vae.test_mse": "VAE decoding the mean, test MSE",
    "vae.active_units": "VAE, active latents",
    "vae_2d.test_loss": "VAE, Z = 2, test loss an image",
}
CLASSIFIED = {
    "classifier.test_accuracy": "Classifier, test accuracy",
    "classifier_end_to_end.test_accuracy": "… trained end to end",
}
OVER_SEEDS = ("over_seeds", "trainings")


def tables(inputs: Inputs, values: Values) -> dict[str, str]:
    """The tables by the names that the template has for them, of classifiers only with labels."""
    v, labelled = values.show, inputs.dataset.labelled
    found = {
        "results": compared(values) if inputs.dataset.is_mnist else measured(inputs, values),
        "data": markdown_table(
            ("Set", "Images", "Used for"),
            [
                ("training", v("params.prepare.train"), "weights"),
                ("validation", v("params.prepare.val"), "hyperparameters, early stopping, figures"),
                ("test", v("params.prepare.test"), "the numbers of this report"),
            ],
            (LEFT, RIGHT, LEFT),
        ),
        "hyperparameters": hyperparameters(inputs, values),
        "noise": noise(inputs, values),
        "claims": claims(inputs, values),
    }
    if labelled:
        found["classifiers"] = classifiers(inputs, values)
    if inputs.ablation["rows"]:
        found["ablation"] = ablated(inputs, values)
    rows = [(name, v(f"history.{name}.dead")) for name in MODELS if name in inputs.histories]
    return found | {"dead": markdown_table(("Model", "Dead units"), rows)}


def claims(inputs: Inputs, values: Values) -> str:
    """The verdicts as a table, and below it what each rests on."""
    rows = [
        (one.wording, one.where, values.show(f"claims.{one.id}"), one.scope or "–")
        for one in inputs.claims
    ]
    head = "Claim", "In the original report", "Verdict", "Holds"
    if not inputs.dataset.is_mnist:
        rows = [(wording, verdict, scope) for wording, _, verdict, scope in rows]
        head = "Hypothesis", "Verdict", "Holds"
    reasons = [f"- **{one.wording}** {one.because} *Rule: {one.rule}.*" for one in inputs.claims]
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


def measured(inputs: Inputs, values: Values) -> str:
    """What this run reaches."""
    forms = ("text", "interval", *(OVER_SEEDS if inputs.has_seeds else ()))
    shown = MEASURED | (CLASSIFIED if inputs.dataset.labelled else {})
    rows = [(title, *(values.show(name, one) for one in forms)) for name, title in shown.items()]
    head = ("Quantity", "This run", "Over images", "Over seeds", "Seeds")[: 1 + len(forms)]
    return markdown_table(head, rows, (LEFT, *[RIGHT] * len(forms)))


def hyperparameters(inputs: Inputs, values: Values) -> str:
    """A training a row, with the widths of layers where the search had a choice."""
    v, labelled = values.show, inputs.dataset.labelled
    given = ("latent_dim", "optimizer", "lr", "batch_size", "dropout")
    widths, rows = inputs.widths, []
    if inputs.dataset.is_mnist:
        own = [v(f"paper.{name}") for name in HYPERPARAMETERS]
        rows.append(("original report, all", *own, *("–" for _ in widths)))
    tuned = f"autoencoder, denoiser{', end to end' * labelled}"
    rows.append((tuned, *(v(f"hparams.{name}") for name in (*given, *widths))))
    recipes = [
        ("autoencoder, plane", "train_ae.ae_2d", True),
        ("VAE", "train_vae.vae", False),
        ("VAE, plane", "train_vae.vae_2d", True),
        ("head of a classifier", "finetune.head", False),
    ]
    for title, section, latents in recipes if labelled else recipes[:-1]:
        own = [v(f"params.{section}.{name}") for name in given[1:4]]
        dim = v(f"params.{section}.latent_dim") if latents else v("hparams.latent_dim")
        dropout = f"params.{section}.dropout"
        same = (v(f"hparams.{name}") for name in widths)
        rows.append((title, dim, *own, v(dropout) if dropout in values else "–", *same))
    head = ("Training", *HYPERPARAMETERS, *map(str.capitalize, widths))
    return markdown_table(head, rows, (LEFT, RIGHT, LEFT, *[RIGHT] * (3 + len(widths))))


def noise(inputs: Inputs, values: Values) -> str:
    kinds = {"as_described": "as described", "as_coded": "as coded", "figure_3": "in its figure"}
    if not inputs.dataset.is_mnist:
        kinds = {
            "as_described": "of the training",
            "as_coded": "another",
            "figure_3": "of figure 3",
        }
    rows = []
    for key, title in kinds.items():
        names = ("gaussian_mean", "gaussian_variance", "salt_pepper", "speckle_variance")
        rows.append((title, *(values.show(f"params.noise.{key}.{name}") for name in names)))
    head = "Noise", "Gaussian mean", "Gaussian variance", "Salt & pepper", "Speckle variance"
    return markdown_table(head, rows, (LEFT, *[RIGHT] * 4))


def classifiers(inputs: Inputs, values: Values) -> str:
    test = ("text", "interval", *(OVER_SEEDS[:1] if inputs.has_seeds else ()))
    rows = [
        (
            title,
            values.show(f"{name}.trainable_parameters"),
            values.show(f"{name}.val_accuracy"),
            *(values.show(f"{name}.test_accuracy", form) for form in test),
        )
        for name, title in (
            ("classifier", "head on the pretrained encoder"),
            ("classifier_random_encoder", "the same head on an untrained encoder"),
            ("classifier_end_to_end", "everything trained end to end"),
        )
    ]
    head = ("Classifier", "Trained parameters", "Validation", "Test", "Over images", "Over seeds")
    columns = 3 + len(test)
    return markdown_table(head[:columns], rows, (LEFT, *[RIGHT] * (columns - 1)))


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

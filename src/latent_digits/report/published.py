"""What the original report says, what its author's weights reach, and how this study stands to it.

"Unsupervised Deep Learning, Assignment 2", F. Manzali, 2021. Numbers of the weights were measured
on MNIST's test set but for the two planes', which are of the author's log, on his validation set.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from scipy import special

from latent_digits.report.values import Seeds, Source, Value

PAPER = Source("the original report", "quoted")
WEIGHTS = Source("the author's published weights", "quoted; measured once, on the test set")
HYPERPARAMETERS = {  # as its table 1 prints them
    **{"Latents": "33", "Optimizer": "adam", "Learning rate": "5.4 × 10⁻³"},
    **{"Batch": "128", "Dropout": "0.012"},
}
LEVEL = 0.05
# What counts as the same, as a share of the value: declared, not measured.
MSE, LOSS, ACCURACY = 0.05, 0.02, 0.003


class Published(NamedTuple):
    """A quantity: its name in evaluation.json, its title, the text's number, the weights' number.

    None where they say nothing. `better` is None for a term of a trade-off, and where theirs was
    not measured on the images of ours.
    """

    name: str
    title: str
    text: float | None
    section: str
    weights: float | None
    margin: float
    better: Literal["lower", "higher"] | None


COMPARED = (
    Published("ae.test_mse", "Autoencoder, test MSE", 0.0087, "1.2", 0.008536, MSE, "lower"),
    Published("ae_2d.val_mse", "Autoencoder, Z = 2, validation MSE", None, "", 0.03711, MSE, None),
    Published("denoiser.test_mse", "Denoiser, noise as described", None, "", 0.02707, MSE, "lower"),
    Published(
        *("denoiser.as_coded_test_mse", "Denoiser, noise as coded", 0.03, "2.2"),
        *(0.02983, MSE, "lower"),
    ),
    Published("vae.test_loss", "VAE, test loss an image", None, "", 27.93, LOSS, "lower"),
    Published("vae.test_squared_error", "… its squared error", None, "", 16.87, LOSS, None),
    Published("vae.test_kl", "… its KL divergence, nats", None, "", 11.06, LOSS, None),
    Published("vae.test_mse", "VAE decoding the mean, test MSE", None, "", 0.01651, MSE, "lower"),
    Published("vae.active_units", "VAE, active latents", None, "", 9, MSE, None),
    Published("vae_2d.val_loss", "VAE, Z = 2, validation loss", None, "", 37.2, LOSS, None),
    Published(
        *("classifier.test_accuracy", "Classifier, test accuracy", 0.981, "4.2"),
        *(0.9792, ACCURACY, "higher"),
    ),
)


@dataclass(frozen=True)
class Standing:
    """How this study's trainings stand to the author's one: a verdict, and the interval behind."""

    verdict: str
    change: float = 0.0
    low: float = 0.0
    high: float = 0.0


def standing(value: Value, published: Published) -> Standing:
    """Better or worse only beyond images and seeds; reproduced only within the margin.

    The change of the mean over seeds has the variance 2 SE² + σ² (1 + 1/n): the images' twice,
    since the author's values an image are unknown and cannot be paired, and the seeds' for n
    trainings of ours and his one, which is taken to vary as ours do. Student's t of σ's degrees of
    freedom.
    """
    theirs, seeds = published.weights, value.seeds
    if theirs is None or published.better is None or value.low is None or value.high is None:
        return Standing("–")
    if seeds is None:
        return Standing("one training: not told")
    width, change = uncertainty(value.low, value.high, seeds), seeds.mean - theirs
    low, high = change - width, change + width
    if low > 0 or high < 0:
        verdict = "better" if (change > 0) == (published.better == "higher") else "worse"
    else:
        margin = published.margin * theirs
        verdict = "reproduced" if -margin <= low and high <= margin else "not told apart"
    return Standing(verdict, change, low, high)


def uncertainty(low: float, high: float, seeds: Seeds) -> float:
    """Half of the 95 % interval of a change, see `standing`."""
    of_images = (high - low) / (2 * float(special.ndtri(1 - LEVEL / 2)))
    variance = 2 * of_images**2 + seeds.deviation**2 * (1 + 1 / seeds.count)
    return float(special.stdtrit(seeds.count - 1, 1 - LEVEL / 2)) * variance**0.5


def paper(one: Published) -> Value:
    """A number of the original report, in its own digits."""
    as_given = f"{100 * one.text:g} %" if one.text and "accuracy" in one.name else f"{one.text:g}"
    where = f"section {one.section}"
    return Value(f"paper.{one.name}", one.text, PAPER, where, as_given=as_given)


def published_values() -> list[Value]:
    """The numbers of both, as values."""
    found = [Value("paper.best.accuracy", 0.995, PAPER, "section 4.2", as_given="99.5 %")]
    for name, text in HYPERPARAMETERS.items():
        found.append(Value(f"paper.{name}", text, PAPER, "table 1", as_given=text))
    for one in COMPARED:
        if one.text is not None:
            found.append(paper(one))
        if one.weights is not None:
            found.append(Value(f"weights.{one.name}", one.weights, WEIGHTS, one.title))
    return found

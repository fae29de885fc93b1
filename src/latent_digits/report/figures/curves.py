"""Learning curves, each named at its end and marked where its weights were kept."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from latent_digits.data.storage import Row
from latent_digits.report.figures.drawing import Drawing, Study
from latent_digits.report.figures.style import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    WIDTH,
    End,
    listed,
    log_scale,
    name_ends,
)

MEANING = (
    "Training losses are averaged while an epoch runs, and so lag; a circle marks the epoch whose "
    "weights are kept."
)
DASHED = (0, (3, 1.5))


class Curve(NamedTuple):
    """A history's value, such as "loss", under a name and in a colour."""

    name: str
    history: list[Row]
    value: str
    colour: str
    trained: bool = True  # show it for the training images too

    def values(self, part: str) -> list[float]:
        """By epoch; an accuracy becomes an error in per cent, None of which is 0 on a log axis."""
        found = [row[f"{part}_{self.value}"] for row in self.history]
        return [100 * (1 - one) or float("nan") for one in found] if self.is_share else found

    @property
    def is_share(self) -> bool:
        return self.value == "accuracy"

    @property
    def kept(self) -> int:
        """The place of the epoch whose weights are kept."""
        losses = [row["val_loss"] for row in self.history]
        return losses.index(min(losses))

    @property
    def best(self) -> float:
        return self.values("val")[self.kept]

    @property
    def end(self) -> End:
        return End(self.name, self.colour, self.history[-1]["epoch"], self.values("val")[-1])


class Panel(NamedTuple):
    title: str
    unit: str
    curves: Sequence[Curve]


def learning_curves(panels: Sequence[Panel]) -> Figure:
    """Panels side by side, on logarithmic axes."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for curve in panel.curves:
            draw_curve(ax, curve)
        ax.set(title=panel.title, xlabel="epoch", ylabel=panel.unit)
        log_scale(ax)
        name_ends(ax, [curve.end for curve in panel.curves])
    key = [
        Line2D([], [], color=MUTED, label="validation"),
        Line2D([], [], color=MUTED, lw=1, ls=DASHED, label="training"),
    ]
    figure.legend(handles=key, ncols=2, loc="outside upper right", borderpad=0)
    return figure


def draw_curve(ax: Axes, curve: Curve) -> None:
    epochs = [row["epoch"] for row in curve.history]
    ax.plot(epochs, curve.values("val"), color=curve.colour)
    if curve.trained:
        ax.plot(epochs, curve.values("train"), color=curve.colour, lw=1, ls=DASHED, alpha=0.8)
    ax.plot(epochs[curve.kept], curve.best, "o", ms=6, mfc="white", mec=curve.colour, mew=1.5)


def autoencoders(study: Study) -> Drawing:
    ae, plane, vae = (study.histories[name] for name in ("ae", "ae_2d", "vae"))
    latents = study.hparams["latent_dim"]
    errors = [Curve("Z = 2", plane, "loss", ORANGE), Curve(f"Z = {latents}", ae, "loss", BLUE)]
    terms = [
        Curve("loss", vae, "loss", BLUE),
        Curve("squared\nerror", vae, "squared_error", PURPLE, trained=False),
        Curve("KL", vae, "kl", GREEN, trained=False),
    ]
    small, large = errors
    loss, squared, kl = terms
    weighted = "a KL divergence" if study.beta == 1 else f"{study.beta:g} times a KL divergence"
    return Drawing(
        "fig07_autoencoder_curves",
        "Learning curves of the autoencoder, with the latents that the search found and with two, "
        f"and of the VAE with Z = {latents}, whose loss is a squared error plus {weighted}. "
        f"{MEANING}",
        "Left, the validation MSE falls "
        + study.seen("steeply for some five epochs and slowly after: ")
        + f"to {large.best:.4f} with {latents} latents in {len(ae)} epochs, and to "
        f"{small.best:.4f} with two in {len(plane)}. Right, the VAE's loss falls to "
        f"{loss.best:.1f} in {len(vae)} epochs: the squared error goes from "
        f"{squared.values('val')[0]:.1f} to "
        f"{squared.best:.1f}, the KL from {kl.values('val')[0]:.1f} to {kl.best:.1f}.",
        lambda: learning_curves(
            [
                Panel("Autoencoder", "mean squared error", errors),
                Panel("Variational autoencoder", "loss per image", terms),
            ]
        ),
    )


def classifiers(study: Study) -> Drawing:
    named = {
        "classifier_random_encoder": ("untrained\nencoder", MUTED),
        "classifier": ("pretrained encoder", BLUE),
        "classifier_end_to_end": ("end to end", ORANGE),
    }
    entropies, errors = (
        [
            Curve(name, study.histories[model], value, colour)
            for model, (name, colour) in named.items()
        ]
        for value in ("loss", "accuracy")
    )
    untrained, head, whole = errors
    trained = [f"{one.values('train')[-1]:.2f} %" for one in errors]
    return Drawing(
        "fig08_classifier_curves",
        "Learning curves of the classifier on the pretrained encoder and of two baselines: the "
        f"same head on an untrained encoder, and everything trained end to end. {MEANING}",
        "Three curves in each panel"
        + study.seen(", the untrained encoder's far above the others")
        + f". With the weights kept, of epochs {listed([one.kept + 1 for one in errors])}, "
        f"validation errs by {untrained.best:.2f} % on the untrained encoder, {head.best:.2f} % on "
        f"the pretrained one and {whole.best:.2f} % end to end; the training error ends at "
        f"{listed(trained)}.",
        lambda: learning_curves(
            [
                Panel("Loss", "cross-entropy (nats)", entropies),
                Panel("Error", "1 − accuracy (%)", errors),
            ]
        ),
    )

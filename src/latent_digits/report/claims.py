"""The original report's claims, put to a test: each a rule that its evidence passes, or does not.

On another data set than the report's they are hypotheses, under the same rules and margins.
`reports/claims.json`, which `evaluate` writes, has what is measured for them. Where the noise of
seeds is known a verdict is one on the recipe; else it holds for the trained networks at hand, since
other seeds may give others. Intervals are not widened for the number of claims.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from latent_digits.report.dataset_info import DatasetInfo
from latent_digits.report.rules import (
    Interval,
    Verdict,
    above,
    agreed,
    around,
    below,
    between_seeds,
    e3,
    every,
    over_seeds,
    percent,
    points,
    reach,
    said,
    student,
    with_seeds,
    within,
)

Row = Mapping[str, Any]
Histories = Mapping[str, Sequence[Row]]
WAYS = ("pretrained", "untrained", "end_to_end")
FILTERS = {"median": "median", "gaussian": "Gaussian", "total_variation": "total variation"}
LEVELS = (0.90, 0.95, 0.97)
HEAD, WHOLE = "classifier", "classifier_end_to_end"


class MissingError(Exception):
    """Evidence that is not there, in a sentence that says where it would come from."""


class Finding(NamedTuple):
    """What a rule finds, in words with the numbers, and of how many trainings; 0: of none."""

    verdict: Verdict
    because: str
    trainings: int = 1


class Judged(NamedTuple):
    """A claim with its verdict, and all that its rule has looked at, by id."""

    id: str
    wording: str
    where: str
    rule: str
    verdict: Verdict
    trainings: int
    because: str
    evidence: dict[str, Any]

    @property
    def scope(self) -> str:
        """What the verdict holds for, beyond the images: seeds, or the networks at hand alone."""
        if self.trainings > 1:
            return f"over {self.trainings} seeds"
        return "for the networks at hand" if self.trainings else ""


class Known:
    """What is known, and in `used` what of it was asked for."""

    def __init__(
        self,
        evidence: Row,
        details: Row,
        histories: Histories,
        replicas: Row,
        dataset: DatasetInfo,
        most_latents: int,
    ):
        self.dataset, self.most_latents = dataset, most_latents
        self.evidence, self.details, self.histories = evidence, details, histories
        self.seeds = [row.get("details", {}) for row in replicas.get("rows", {}).values()]
        self.used: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Interval:
        """Of `claims.json`, under an id such as "knn/ae"."""
        if name not in self.evidence:
            raise MissingError(f"{name} is not in reports/claims.json, which `evaluate` writes.")
        found = self.used[name] = self.evidence[name]
        return Interval(*(found.get(bound, found["value"]) for bound in Interval._fields))

    def detail(self, key: str) -> Interval:
        """Of `evaluation.json`, under a key such as "ae.test_mse"; without bounds of any width."""
        group, name = key.split(".")
        measured = self.details.get(group, {})
        if name not in measured:
            raise MissingError(f"{key} is not in reports/evaluation.json, which `evaluate` writes.")
        names = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
        found = {bound: measured[one] for bound, one in names.items() if one in measured}
        self.used[key] = found
        return Interval(**({"low": -math.inf, "high": math.inf} | found))

    def by_seed(self, *keys: str) -> list[list[float]]:
        """The values of details, a row a seed that has them all; none of fewer than two seeds."""
        rows = [[row[key] for key in keys] for row in self.seeds if all(key in row for key in keys)]
        if len(rows) < 2:
            return []
        self.used |= {f"{key}, by seed": [row[n] for row in rows] for n, key in enumerate(keys)}
        return rows

    def difference(self, one: str, other: str) -> tuple[Interval, int]:
        """One detail less another, over images and, where there are any, seeds; of how many.

        The reaches over images are added as if the images were two draws: pairs would give less.
        """
        first, second = self.detail(one), self.detail(other)
        images = around(first.value - second.value, math.hypot(reach(first), reach(second)))
        if rows := self.by_seed(one, other):
            return with_seeds(images, between_seeds(*zip(*rows, strict=True))), len(rows)
        return images, 1

    def epochs(self, model: str, level: float) -> float:
        """After how many epochs the validation accuracy was at least `level`; never: infinity."""
        if not self.histories.get(model):
            raise MissingError(
                f"reports/histories/{model}.csv is missing, which `finetune` writes."
            )
        history = self.histories[model]
        reached = [row["epoch"] for row in history if row["val_accuracy"] >= level]
        self.used[f"epochs of {model} to {level:.0%}"] = min(reached, default=None)
        return min(reached, default=math.inf)


class Claim(NamedTuple):
    """A claim in our words, where the report makes it, and the rule, in words and in code.

    Words in braces are the data set's own. A claim is left out where the images have not what it
    `needs`.
    """

    id: str
    wording: str
    where: str
    rule: str
    judge: Callable[[Known], Finding]
    needs: Literal["labels", "ten digits", "images"] = "images"


def judged(
    evidence: Row,
    details: Row,
    histories: Histories,
    replicas: Row,
    dataset: DatasetInfo,
    most_latents: int,
) -> list[Judged]:
    """Every claim that can be made of the data set, with its verdict.

    From the contents of `claims.json` and of `evaluation.json`, the histories by model, the content
    of `replicas.json`, or {} where there is none, and the most latents that the search may choose.
    """
    has = {"labels": dataset.labelled, "ten digits": dataset.has_ten_digits, "images": True}
    known = evidence, details, histories, replicas, dataset, most_latents
    return [judgement(one, Known(*known)) for one in CLAIMS if has[one.needs]]


def judgement(claim: Claim, known: Known) -> Judged:
    try:
        found = claim.judge(known)
    except MissingError as missing:
        found = Finding("not tested", str(missing), 0)
    dataset = known.dataset
    words = {
        **{"noun": dataset.noun, "nouns": dataset.nouns, "images": dataset.images},
        "real ones": "digits" if dataset.is_of_digits else "real ones",
        "most": known.most_latents,
    }
    wording, rule = (text.format_map(words) for text in (claim.wording, claim.rule))
    said = claim.id, wording, claim.where, rule
    return Judged(*said, found.verdict, found.trainings, found.because, known.used)


# A fifth: less than the 30 % that PCA gains from 33 to 50, and more than the tenth or so by which
# two trainings of one recipe may differ.
FEWER_COST = 1.2


def few_dimensions(known: Known) -> Finding:
    """Z = 2 is no candidate: it is trained by a recipe of its own, for figure 11."""
    ids = [name for name in known.evidence if name.startswith("mse/ae/")]
    trained = sorted(int(name.removeprefix("mse/ae/")) for name in ids)
    few = [z for z in trained if 2 < z <= max(trained) * 2 / 3]
    if not few:
        raise MissingError(
            f"Autoencoders are trained at Z = {' and '.join(map(str, trained)) or '–'} alone; the "
            "claim needs one between 3 and two thirds of the most latents."
        )
    fewer, most = known[f"mse/ae/{few[-1]}"], known[f"mse/ae/{trained[-1]}"]
    excess, unsure = fewer.value - FEWER_COST * most.value, reach(fewer) + FEWER_COST * reach(most)
    values = [value for (value,) in known.by_seed("ae.test_mse")]
    if values:  # their share of the error is taken for both sizes
        deviation = stdev(values) / fmean(values) * math.hypot(fewer.value, FEWER_COST * most.value)
        unsure = math.hypot(unsure, student(len(values) - 1) * deviation)
    because = f"MSE × 1000 is {e3(fewer)} at Z = {few[-1]} and {e3(most)} at Z = {trained[-1]}."
    return Finding(below(around(excess, unsure), 0), because, len(values) or 1)


def below_the_limit(known: Known) -> Finding:
    chosen = known["latent_dim/tuned"]
    verdict = "supported" if chosen.value < known.most_latents else "contradicted"
    because = (
        f"It chose Z = {chosen.value:.0f}; it is one search, and another may choose otherwise."
    )
    return Finding(verdict, because, trainings=0)


CLUSTERED = 0.9  # nine of ten, where chance has one
HALF_A_POINT = 0.005  # 50 of 10,000 test images


def clusters(known: Known) -> Finding:
    right = known["knn/ae"]
    because = (
        f"Of {percent(right)} of the test images most neighbours are of the same "
        f"{known.dataset.noun}."
    )
    return Finding(above(right, CLUSTERED), because)


def clusters_learned(known: Known) -> Finding:
    over_pixels, over_pca = known["knn/ae - pixels"], known["knn/ae - pca"]
    latents, linear = known.detail("ae.davies_bouldin"), known["davies_bouldin/pca"]
    rows = known.by_seed("ae.davies_bouldin")
    index = over_seeds([value for (value,) in rows]) if rows else latents
    verdict = agreed(
        every(above(over_pixels, HALF_A_POINT), above(over_pca, HALF_A_POINT)),
        below(index, linear.value),
    )
    because = (
        f"k-NN is right more often than in pixels by {points(over_pixels)}, than in principal "
        f"components by {points(over_pca)}; the Davies-Bouldin index is {said(index)}, and of the "
        f"components {said(linear)}."
    )
    return Finding(verdict, because)


ERROR_GAIN, ACCURACY_GAIN = 0.1, 0.05  # of the filter's error; what one sees without counting


def better_than_filters(known: Known, where: str) -> Verdict:
    """Whether the denoiser beats each filter under one noise, by its error and by what is read."""
    errors: list[Verdict] = []
    accuracies: list[Verdict] = []
    for name in FILTERS:
        bar = -ERROR_GAIN * known[f"{where}/{name}/mse"].value
        errors.append(below(known[f"{where}/denoiser - {name}/mse"], bar))
        gain = known[f"{where}/denoiser - {name}/accuracy"]
        accuracies.append(above(gain, ACCURACY_GAIN))
    return agreed(every(*errors), every(*accuracies))


def beside_filters(known: Known, where: str) -> str:
    """ "MSE × 1000 22.4, accuracy 88.9 %; median 61.5, 49.0 %; …"."""
    methods = {"denoiser": "denoiser", **FILTERS}
    return "; ".join(
        f"{title} {1e3 * known[f'{where}/{name}/mse'].value:.1f} and "
        f"{100 * known[f'{where}/{name}/accuracy'].value:.1f} %"
        for name, title in methods.items()
    )


def denoises(known: Known) -> Finding:
    where = "denoising/all/1"
    noisy, clean = known[f"{where}/noisy/accuracy"], known["denoising/clean/accuracy"]
    again, images = known[f"{where}/denoiser/accuracy"], known.dataset.images
    most = above(again, (noisy.value + clean.value) / 2)
    because = (
        f"The classifier reads {percent(noisy)} of the noisy {images}, {percent(again)} of the "
        f"denoised, {percent(clean)} of the clean. MSE × 1000 and accuracy: "
        f"{beside_filters(known, where)}."
    )
    return Finding(every(most, better_than_filters(known, where)), because)


def denoises_beyond(known: Known) -> Finding:
    places = {
        "Gaussian alone": "denoising/gaussian/1",
        "salt & pepper alone": "denoising/salt_pepper/1",
        "speckle alone": "denoising/speckle/1",
        "all, twice": "denoising/all/2",
    }
    verdicts: dict[str, Verdict] = {
        name: better_than_filters(known, where) for name, where in places.items()
    }
    because = " ".join(
        f"{name[0].upper()}{name[1:]}, {verdicts[name]}: {beside_filters(known, where)}."
        for name, where in places.items()
    )
    return Finding(every(*verdicts.values()), f"MSE × 1000 and accuracy. {because}")


WORSE = 0.1  # of the autoencoder's error, as above
SEEN = 0.01  # of an image's own steepness
RELATIVE = 0.05  # of the autoencoder's value, whose error moves by 3 % between seeds


def vae_error(known: Known) -> Finding:
    more, trainings = known.difference("vae.test_mse", "ae.test_mse")
    bar = WORSE * known.detail("ae.test_mse").value
    one, other = known.detail("vae.test_mse"), known.detail("ae.test_mse")
    because = f"MSE × 1000 is {e3(one)} and {e3(other)}; the difference is {e3(more)}."
    return Finding(above(more, bar), because, trainings)


def vae_blur(known: Known) -> Finding:
    vae, ae, less = (known[f"sharpness/{name}"] for name in ("vae", "ae", "vae - ae"))
    because = f"Edges are {percent(vae)} as steep as in the image, the autoencoder's {percent(ae)}."
    return Finding(below(less, -SEEN), because)


def less_than_the_autoencoder(known: Known, what: str) -> tuple[Verdict, str]:
    vae, ae, less = (known[f"{what}/{name}"] for name in ("vae", "ae", "vae - ae"))
    text = f"{said(vae, digits=3)} against {said(ae, digits=3)}, a difference of "
    return below(less, -RELATIVE * ae.value), text + said(less, digits=3)


def vae_robust(known: Known) -> Finding:
    verdict, text = less_than_the_autoencoder(known, "displacement")
    return Finding(verdict, f"The latents move by {text}, in distances of two images.")


def vae_smooth(known: Known) -> Finding:
    """A cross-fade is even too, though what it passes is none: that is `vae_between`'s question."""
    uneven, text_uneven = less_than_the_autoencoder(known, "unevenness")
    bent, text_bent = less_than_the_autoencoder(known, "bending")
    because = f"The largest step in mean steps is {text_uneven}; the bending is {text_bent}."
    return Finding(agreed(uneven, bent), because)


def vae_between(known: Known) -> Finding:
    verdict, text = less_than_the_autoencoder(known, "departure")
    nearest = f"the nearest {known.dataset.image}"
    return Finding(verdict, f"Half way the distance to {nearest} is {text}, the ends' 1.")


def eight_half_way(known: Known) -> Finding:
    seen, other = (known[f"zero_to_nine/{name}/middle/8"] for name in ("vae", "ae"))
    because = f"Half way it sees an 8 in {percent(seen)}, with the autoencoder in {percent(other)}."
    return Finding(above(seen, 0.5), because)


def eight_between(known: Known) -> Finding:
    eight, *others = (known[f"zero_to_nine/vae/through/{n}"] for n in (8, 1, 2, 3, 4, 5, 6, 7))
    next_one = max(others)
    digit = 1 + others.index(next_one)
    ahead = Interval(
        eight.value - next_one.value,
        eight.low - max(one.high for one in others),
        eight.high - next_one.low,
    )
    because = (
        f"An 8 is seen on {percent(eight)} of the paths, next a {digit} on {percent(next_one)}; "
        f"with the autoencoder an 8 on {percent(known['zero_to_nine/ae/through/8'])}."
    )
    return Finding(above(ahead, 0), because)


class Range(NamedTuple):
    """What it took, at least and at most: an accuracy that an epoch ends with came within it."""

    low: float
    high: float


def at_most_half(small: Range, whole: Range) -> Verdict | None:
    """Whether one took at most half of the other; None where whole epochs cannot tell, or neither
    came there.
    """
    if math.isinf(small.high) and math.isinf(whole.high):
        return None
    if small.high <= whole.low / 2:
        return "supported"
    return "contradicted" if small.low >= whole.high / 2 else None


def pretraining_is_quicker(known: Known) -> Finding:
    verdicts: list[Verdict | None] = []
    parts = []
    for level in LEVELS:
        small, whole = (known.epochs(name, level) for name in (HEAD, WHOLE))
        verdicts.append(at_most_half(Range(small - 1, small), Range(whole - 1, whole)))
        parts.append(f"{100 * level:.0f} % in epoch {epoch(small)} and {epoch(whole)}")
    untrained = epoch(known.epochs("classifier_random_encoder", LEVELS[0]))
    because = (
        f"The pretrained encoder and training end to end reach {', '.join(parts)}; an untrained "
        f"encoder 90 % in epoch {untrained} (–: never). What an epoch costs is not counted."
    )
    return Finding(agreed(*filter(None, verdicts)) if any(verdicts) else "undecided", because)


STEP = 3  # forwards and backwards, in passes forwards: at most, the first layer needs less


def pretraining_is_cheaper(known: Known) -> Finding:
    """The frozen encoder sees each image once, the head as often as there are epochs."""
    encoder, head = (known[f"operations/{part}"].value for part in ("encoder", "head"))

    def of_head(epochs: float) -> float:
        return encoder + STEP * head * epochs

    def of_whole(epochs: float) -> float:
        return STEP * (encoder + head) * epochs

    verdicts: list[Verdict | None] = []
    parts = []
    for level in LEVELS:
        small, whole = (known.epochs(name, level) for name in (HEAD, WHOLE))
        ranges = (
            Range(of_head(small - 1), of_head(small)),
            Range(of_whole(whole - 1), of_whole(whole)),
        )
        verdicts.append(at_most_half(*ranges))
        parts.append(f"{100 * level:.0f} % with {millions(ranges[0])} and {millions(ranges[1])}")
    because = (
        "In millions of operations an image, the pretrained encoder and training end to end reach "
        f"{', '.join(parts)} (–: never). What pretraining costs is not counted."
    )
    return Finding(agreed(*filter(None, verdicts)) if any(verdicts) else "undecided", because)


def millions(took: Range) -> str:
    return f"{took.high / 1e6:.1f}" if math.isfinite(took.high) else "–"


def epoch(number: float) -> str:
    return f"{number:g}" if math.isfinite(number) else "–"


ONE_POINT = 0.01  # less than the 1.4 points by which the report calls its 98.1 % short of the best


def comparable(known: Known) -> Finding:
    keys = "classifier.test_accuracy", "classifier_end_to_end.test_accuracy"
    gap, trainings = known.difference(*keys)
    one, other = (known.detail(key) for key in keys)
    because = f"{percent(one)} and {percent(other)}; the difference is {points(gap)}."
    return Finding(within(gap, ONE_POINT), because, trainings)


def fewer_labels(known: Known) -> Finding:
    """Seeds draw the labelled images anew too."""
    counts = sorted({int(name.split("/")[1]) for name in known.evidence if name.endswith("/gain")})
    if len(counts) < 2:
        raise MissingError("No stage has trained classifiers on fewer labels than all.")
    few = counts[0]
    gain, more = known[f"labels/{few}/gain"], known[f"labels/{few}/more"]
    ways = "pretrained", "end_to_end"
    rows = known.by_seed(
        *(f"labels/{way}_{few}.test_accuracy" for way in ways),
        *(f"{name}.test_accuracy" for name in ("classifier", "classifier_end_to_end")),
    )
    if rows:
        gain = with_seeds(gain, over_seeds([a - b for a, b, _, _ in rows]))
        more = with_seeds(more, over_seeds([(a - b) - (c - d) for a, b, c, d in rows]))
    verdict = every(above(gain, 0), above(more, ONE_POINT))
    accuracies = "; ".join(
        f"{count:,} labels: ".replace(",", "\u00a0")
        + ", ".join(f"{100 * known[f'labels/{count}/{way}'].value:.1f}" for way in WAYS)
        for count in counts
    )
    because = (
        f"With {few} labels pretraining brings {points(gain)} over training end to end, "
        f"{points(more)} more than with all. This run's accuracies in %, on the pretrained "
        f"encoder, on an untrained one, end to end: {accuracies}."
    )
    return Finding(verdict, because, len(rows) or 1)


def clusters_2d(known: Known) -> Finding:
    right = known["knn/vae_2d - ae_2d"]
    index, trainings = known.difference("vae_2d.davies_bouldin", "ae_2d.davies_bouldin")
    shares = known["knn/vae_2d"], known["knn/ae_2d"]
    verdict = agreed(above(right, HALF_A_POINT), below(index, 0))
    over = f" over {trainings} seeds" if trainings > 1 else ""
    because = (
        f"k-NN is right for {percent(shares[0])} and {percent(shares[1])}, a difference of "
        f"{points(right)}; that of the Davies-Bouldin index is {said(index)}{over}."
    )
    return Finding(verdict, because)


CLAIMS = (
    Claim(
        "few_dimensions",
        "Two thirds of the latents give nearly the error of the most.",
        "1.1: few dimensions suffice to capture all the data variability",
        "the test MSE at the largest Z up to two thirds of the most is at most 20 % higher",
        few_dimensions,
    ),
    Claim(
        "below_the_limit",
        "The search chooses fewer latents than the {most} allowed.",
        "1.1: the optimal latent space is not the highest allowed",
        "Z is less than {most}",
        below_the_limit,
    ),
    Claim(
        "clusters",
        "Images of one {noun} lie together in the autoencoder's latents.",
        "1.2, figures 9 to 11: it clusters together images of the same digit",
        "5-NN among validation images is right for more than 90 % of the test images",
        clusters,
        needs="labels",
    ),
    Claim(
        "clusters_learned",
        "That is learned: they lie together more than in pixels or principal components.",
        "1.2: the model learns to cluster",
        "5-NN is right more often by half a point than in either, and the Davies-Bouldin index of "
        "the {nouns} is less than in as many components",
        clusters_learned,
        needs="labels",
    ),
    Claim(
        "denoises",
        "The denoiser makes most hidden {images} readable again, and more than classical filters.",
        "2.2: powerful enough to resolve noise that is challenging even for humans",
        "under the noise of its training the classifier reads more than half of what noise cost, "
        "and the MSE is 10 % less and the accuracy 5 points more than with each tuned filter",
        denoises,
        needs="labels",
    ),
    Claim(
        "denoises_beyond",
        "So it does under noise that it was not trained on: each kind alone, all at twice.",
        "2.2, which does not say how far it reaches",
        "as above, beside the filters, under each of the four",
        denoises_beyond,
        needs="labels",
    ),
    Claim(
        "vae_error",
        "The VAE's reconstructions have a larger error than the autoencoder's.",
        "3.2: the quality is a bit lower",
        "the test MSE is more than 10 % higher",
        vae_error,
    ),
    Claim(
        "vae_blur",
        "They are blurrier.",
        "3.2, figure 5",
        "the steepness of the grey values, over the image's, is less by more than 1 %",
        vae_blur,
    ),
    Claim(
        "vae_robust",
        "A small change of the image moves the VAE's latents less.",
        "3.2: a small change in the input is mapped to a small change in the latent space",
        "noise of a tenth of the range moves them 5 % less, over the distance of two images",
        vae_robust,
    ),
    Claim(
        "vae_smooth",
        "On a line between two latents the VAE's images change more evenly.",
        "3.2, figure 6: a linear interpolation produces a smooth transition",
        "the largest step over the mean step, and the second differences over the first, are 5 % "
        "less than the autoencoder's",
        vae_smooth,
    ),
    Claim(
        "vae_between",
        "Half way the VAE's images are more like {real ones}.",
        "3.2, figure 6: an intermediate shape between the two digits",
        "the distance to the nearest validation image, over that of the path's ends, is 5 % less",
        vae_between,
    ),
    Claim(
        "eight_half_way",
        "Half way from a 0 to a 9 the VAE shows an 8.",
        '3.2, figure 6, on one path: the middle image looks like a "8"',
        "the classifier sees an 8 half way on more than half of the paths",
        eight_half_way,
        needs="ten digits",
    ),
    Claim(
        "eight_between",
        "Between a 0 and a 9 an 8 comes more often than any other digit.",
        "3.2: intuitively an intermediate shape between the two digits",
        "the share of the VAE's paths with an 8 is above that with any other, by their intervals",
        eight_between,
        needs="ten digits",
    ),
    Claim(
        "pretraining_is_quicker",
        "A head on the pretrained encoder needs at most half the epochs of training end to end.",
        "4: significantly speeding up the training process",
        "90, 95 and 97 % validation accuracy are reached in half the epochs where whole epochs can "
        "tell, and in more nowhere",
        pretraining_is_quicker,
        needs="labels",
    ),
    Claim(
        "pretraining_is_cheaper",
        "It needs at most half the operations to get there, once the encoder is there.",
        "4: significantly speeding up the training process",
        "as above, in additions and multiplications of the layers, whatever the machine",
        pretraining_is_cheaper,
        needs="labels",
    ),
    Claim(
        "comparable",
        "It ends as good as training end to end.",
        "4: comparable results to end-to-end training",
        "the test accuracies differ by less than one point",
        comparable,
        needs="labels",
    ),
    Claim(
        "fewer_labels",
        "With few labels pretraining helps more.",
        "4, which trains on all labels",
        "with the fewest labels its test accuracy is above that of training end to end, and what "
        "it gains is more by over one point than with all labels",
        fewer_labels,
        needs="labels",
    ),
    Claim(
        "clusters_2d",
        "In two dimensions the VAE separates the {nouns} better.",
        "3.2, figures 11 and 12: clusters are more well separated",
        "5-NN is right more often by half a point, and the Davies-Bouldin index is less",
        clusters_2d,
        needs="labels",
    ),
)

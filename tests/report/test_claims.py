"""Each claim's verdict turns over with its evidence, and says what is missing."""

import json
import re
from typing import Any

import pytest

from drawn import FASHION
from latent_digits.report.claims import CLAIMS, FILTERS, Judged, judged
from latent_digits.report.dataset_info import DIGITS, DatasetInfo

KINDS = ("gaussian/1", "salt_pepper/1", "speckle/1", "all/1", "all/2")
CLASSIFIERS = ("classifier", "classifier_random_encoder", "classifier_end_to_end")
MNIST = DatasetInfo("MNIST", DIGITS, 28)
MOST = 50  # latents that the search may choose


def of(value: float, width: float = 0.002) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width, "count": 1000}


def denoising(where: str, mse: float, accuracy: float) -> dict[str, Any]:
    """A denoiser of this error and accuracy, beside filters of 0.05 and 0.6."""
    place = f"denoising/{where}"
    found = {
        f"{place}/denoiser/mse": of(mse),
        f"{place}/denoiser/accuracy": of(accuracy),
        f"{place}/noisy/accuracy": of(0.2),
    }
    for name in FILTERS:
        found[f"{place}/{name}/mse"], found[f"{place}/{name}/accuracy"] = of(0.05), of(0.6)
        found[f"{place}/denoiser - {name}/mse"] = of(mse - 0.05)
        found[f"{place}/denoiser - {name}/accuracy"] = of(accuracy - 0.6)
    return found


def both(what: str, vae: float, ae: float, width: float = 0.002) -> dict[str, Any]:
    found = {f"{what}/vae": of(vae), f"{what}/ae": of(ae), f"{what}/vae - ae": of(vae - ae, width)}
    return found


def through(eight: float, seven: float = 0.02) -> dict[str, Any]:
    shares = dict.fromkeys(range(1, 7), 0.01) | {7: seven, 8: eight}
    found = {f"zero_to_nine/vae/through/{digit}": of(share) for digit, share in shares.items()}
    return found | {"zero_to_nine/ae/through/8": of(0.05)}


def labels(count: int, pretrained: float, untrained: float, end_to_end: float) -> dict[str, Any]:
    found = {"pretrained": pretrained, "untrained": untrained, "end_to_end": end_to_end}
    found["gain"] = pretrained - end_to_end
    return {f"labels/{count}/{name}": of(value) for name, value in found.items()}


EVIDENCE: dict[str, Any] = {
    "latent_dim/tuned": {"value": 33},
    "mse/ae/2": of(0.037),
    "mse/ae/16": of(0.0040, 1e-5),
    "mse/ae/50": of(0.0040, 1e-5),
    "knn/ae": of(0.96),
    "knn/ae - pixels": of(0.02),
    "knn/ae - pca": of(0.02),
    "davies_bouldin/pca": {"value": 3.5},
    "denoising/clean/accuracy": of(0.98),
    **{name: one for where in KINDS for name, one in denoising(where, 0.02, 0.9).items()},
    **both("sharpness", 0.8, 0.9),
    **both("displacement", 0.1, 0.2),
    **both("unevenness", 1.2, 1.5),
    **both("bending", 0.2, 0.4),
    **both("departure", 1.1, 1.3),
    **through(0.3),
    "zero_to_nine/vae/middle/8": of(0.7),
    "zero_to_nine/ae/middle/8": of(0.1),
    **labels(100, 0.8, 0.6, 0.7),
    **labels(48000, 0.983, 0.85, 0.987),
    "labels/100/more": of(0.104),
    "operations/encoder": {"value": 9.0},
    "operations/head": {"value": 1.0},
    "knn/vae_2d": of(0.82),
    "knn/ae_2d": of(0.80),
    "knn/vae_2d - ae_2d": of(0.02),
}
DETAILS: dict[str, Any] = {
    "ae": {"test_mse": 0.004, "test_mse_low": 0.0039, "test_mse_high": 0.0041},
    "vae": {"test_mse": 0.014, "test_mse_low": 0.0139, "test_mse_high": 0.0141},
    "classifier": {
        "test_accuracy": 0.983,
        "test_accuracy_low": 0.981,
        "test_accuracy_high": 0.985,
    },
    "classifier_end_to_end": {
        "test_accuracy": 0.985,
        "test_accuracy_low": 0.983,
        "test_accuracy_high": 0.987,
    },
}
DETAILS["ae"]["davies_bouldin"] = 3.4
DETAILS |= {"ae_2d": {"davies_bouldin": 3.4}, "vae_2d": {"davies_bouldin": 2.9}}


def replicas(**changes: list[float]) -> dict[str, Any]:
    """Three seeds; a change is by a key with a double underscore for its dot."""
    values = {
        "ae.test_mse": [0.0040, 0.0041, 0.0039],
        "vae.test_mse": [0.0140, 0.0141, 0.0139],
        "ae.davies_bouldin": [3.4, 3.39, 3.41],
        "ae_2d.davies_bouldin": [3.4, 3.5, 3.3],
        "vae_2d.davies_bouldin": [2.4, 2.5, 2.3],
        "classifier.test_accuracy": [0.982, 0.983, 0.982],
        "classifier_end_to_end.test_accuracy": [0.986, 0.987, 0.987],
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return {"rows": {n: {"details": {k: v[n] for k, v in values.items()}} for n in range(3)}}


def histories(*accuracies: list[float]) -> dict[str, Any]:
    """Validation accuracies by epoch, of the classifiers in order."""
    return {
        name: [{"epoch": 1.0 + n, "val_accuracy": value} for n, value in enumerate(values)]
        for name, values in zip(CLASSIFIERS, accuracies, strict=True)
    }


QUICK = histories([0.98], [0.8, 0.85], [0.5, 0.8, 0.91, 0.96, 0.98])
SLOW = histories([0.8, 0.91, 0.96, 0.98], [0.8], [0.8, 0.91, 0.96, 0.98])
EQUAL = histories([0.98], [0.8], [0.98])


def verdict(
    name: str, evidence: Any = None, details: Any = None, seeds: Any = None, curves: Any = None
) -> Judged:
    found = judged(
        EVIDENCE | (evidence or {}),
        DETAILS | (details or {}),
        QUICK if curves is None else curves,
        replicas() if seeds is None else seeds,
        MNIST,
        MOST,
    )
    return {one.id: one for one in found}[name]


@pytest.mark.parametrize("name", [one.id for one in CLAIMS])
def test_a_claim_is_supported_where_all_speaks_for_it(name: str) -> None:
    found = verdict(name)
    assert (found.verdict, bool(found.evidence)) == ("supported", True), found.because
    json.dumps(found._asdict(), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "evidence", "expected"),
    [
        ("few_dimensions", {"mse/ae/16": of(0.0060, 1e-5)}, "contradicted"),
        ("few_dimensions", {"mse/ae/16": of(0.0047, 1e-5)}, "undecided"),  # the noise of seeds
        ("below_the_limit", {"latent_dim/tuned": {"value": 50}}, "contradicted"),
        ("clusters", {"knn/ae": of(0.85)}, "contradicted"),
        ("clusters", {"knn/ae": of(0.901)}, "undecided"),
        ("clusters_learned", {"knn/ae - pca": of(0.004)}, "undecided"),
        ("clusters_learned", {"davies_bouldin/pca": {"value": 3.0}}, "undecided"),
        (
            "clusters_learned",
            {"davies_bouldin/pca": {"value": 3.0}, "knn/ae - pca": of(-0.01)},
            "contradicted",
        ),
        ("denoises", denoising("all/1", 0.06, 0.55), "contradicted"),
        ("denoises", denoising("all/1", 0.06, 0.9), "undecided"),  # the measures do not agree
        ("denoises", {"denoising/all/1/denoiser/accuracy": of(0.5)}, "contradicted"),
        ("denoises", {"denoising/all/1/denoiser - median/mse": of(-0.006)}, "undecided"),
        ("denoises_beyond", denoising("speckle/1", 0.06, 0.5), "contradicted"),
        ("denoises_beyond", denoising("all/2", 0.06, 0.9), "undecided"),
        ("vae_blur", both("sharpness", 0.9, 0.9), "contradicted"),
        ("vae_blur", both("sharpness", 0.889, 0.9), "undecided"),
        ("vae_robust", both("displacement", 0.199, 0.2), "contradicted"),  # less than matters
        ("vae_robust", both("displacement", 0.18, 0.2, 0.05), "undecided"),
        ("vae_smooth", both("bending", 0.5, 0.4), "undecided"),
        (
            "vae_smooth",
            both("bending", 0.5, 0.4) | both("unevenness", 1.6, 1.5),
            "contradicted",
        ),
        ("vae_between", both("departure", 1.3, 1.3), "contradicted"),
        ("vae_between", both("departure", 1.2, 1.3, 0.05), "undecided"),
        ("eight_half_way", {"zero_to_nine/vae/middle/8": of(0.05)}, "contradicted"),
        ("eight_half_way", {"zero_to_nine/vae/middle/8": of(0.5)}, "undecided"),
        ("eight_between", through(0.1, seven=0.3), "contradicted"),
        ("eight_between", through(0.3, seven=0.299), "undecided"),
        ("clusters_2d", {"knn/vae_2d - ae_2d": of(-0.02)}, "undecided"),
        ("fewer_labels", {"labels/100/more": of(0.005)}, "contradicted"),  # less than matters
        ("fewer_labels", {"labels/100/more": of(0.011)}, "undecided"),
        ("fewer_labels", {"labels/100/gain": of(-0.02)}, "contradicted"),
        ("fewer_labels", {"labels/100/gain": of(0.001)}, "undecided"),
    ],
)
def test_other_evidence_is_another_verdict(name: str, evidence: Any, expected: str) -> None:
    found = verdict(name, evidence)
    assert found.verdict == expected, found.because


def test_seeds_decide_between_recipes_and_images_alone_between_networks() -> None:
    assert verdict("vae_error").scope == "over 3 seeds"
    wide = replicas(vae__test_mse=[0.004, 0.03, 0.008])
    assert verdict("vae_error", seeds=wide).verdict == "undecided"
    equal = replicas(vae__test_mse=[0.0039, 0.0040, 0.0041])
    assert verdict("vae_error", seeds=equal).verdict == "contradicted"
    alone = verdict("vae_error", seeds={})
    assert (alone.verdict, alone.scope) == ("supported", "for the networks at hand")
    same = {"vae": DETAILS["ae"]}
    assert verdict("vae_error", details=same, seeds={}).verdict == "contradicted"


def test_equal_within_a_point_is_comparable() -> None:
    worse = replicas(classifier__test_accuracy=[0.90, 0.91, 0.90])
    assert verdict("comparable", seeds=worse).verdict == "contradicted"
    wide = replicas(classifier__test_accuracy=[0.97, 0.99, 0.98])
    assert verdict("comparable", seeds=wide).verdict == "undecided"


def test_an_index_whose_noise_nobody_knows_decides_nothing() -> None:
    for name in ("clusters_2d", "clusters_learned"):
        found = verdict(name, seeds={})
        assert found.verdict == "undecided"
        assert "inf" not in found.because
    nearer = replicas(vae_2d__davies_bouldin=[4.4, 4.5, 4.3])
    worse = {"knn/vae_2d - ae_2d": of(-0.02)}
    assert verdict("clusters_2d", worse, seeds=nearer).verdict == "contradicted"


def test_few_labels_are_drawn_anew_with_each_seed() -> None:
    assert verdict("fewer_labels").scope == "for the networks at hand"
    few = {
        "labels/pretrained_100__test_accuracy": [0.80, 0.82, 0.81],
        "labels/end_to_end_100__test_accuracy": [0.70, 0.71, 0.72],
    }
    found = verdict("fewer_labels", seeds=replicas(**few))
    assert (found.verdict, found.scope) == ("supported", "over 3 seeds")
    few["labels/pretrained_100__test_accuracy"] = [0.75, 0.60, 0.95]
    assert verdict("fewer_labels", seeds=replicas(**few)).verdict == "undecided"


def test_few_dimensions_without_seeds_has_the_noise_of_images() -> None:
    nearly = {"mse/ae/16": of(0.0047, 1e-5)}
    found = verdict("few_dimensions", nearly, seeds={})
    assert (found.verdict, found.trainings) == ("supported", 1)


def test_operations_count_what_an_epoch_costs() -> None:
    """As many epochs, but of the head alone, whose encoder sees an image once."""
    name = "pretraining_is_cheaper"
    assert verdict("pretraining_is_quicker", curves=SLOW).verdict == "contradicted"
    found = verdict(name, {"operations/encoder": {"value": 9e5}}, curves=SLOW)
    assert found.verdict == "supported"
    assert "90 % with 0.9 and 5.4, 95 % with 0.9 and 8.1" in found.because  # 3 a step
    assert verdict(name, curves=EQUAL).verdict == "undecided"  # both within an epoch
    dear = {"operations/head": {"value": 90.0}}
    once = histories([0.8, 0.8, 0.98], [0.8], [0.98])
    assert verdict(name, dear, curves=once).verdict == "contradicted"
    never = histories([0.8], [0.8], [0.98])
    assert "97 % with – and 0.0" in verdict(name, curves=never).because


@pytest.mark.parametrize("name", ["pretraining_is_quicker", "pretraining_is_cheaper"])
def test_what_neither_reaches_decides_nothing(name: str) -> None:
    nobody = histories([0.5] * 3, [0.5], [0.5])
    assert verdict(name, curves=nobody).verdict == "undecided"


def test_epochs_tell_only_what_whole_epochs_can() -> None:
    name = "pretraining_is_quicker"
    assert verdict(name, curves=SLOW).verdict == "contradicted"
    assert verdict(name, curves=EQUAL).verdict == "undecided"
    never = histories([0.92] * 9, [0.8], [0.91, 0.98])
    found = verdict(name, curves=never)
    assert found.verdict == "contradicted"
    assert "97 % in epoch – and 2" in found.because


@pytest.mark.parametrize(
    ("name", "without", "said"),
    [
        ("clusters", "knn/ae", "knn/ae is not in reports/claims.json, which `evaluate` writes."),
        ("few_dimensions", "mse/ae/16", "Z = 2 and 50 alone; the claim needs one between 3 and"),
        ("denoises_beyond", "denoising/all/2/median/mse", "is not in reports/claims.json"),
    ],
)
def test_missing_evidence_is_a_sentence(name: str, without: str, said: str) -> None:
    found = {key: one for key, one in EVIDENCE.items() if key != without}
    one = {one.id: one for one in judged(found, DETAILS, QUICK, replicas(), MNIST, MOST)}[name]
    assert (one.verdict, one.scope) == ("not tested", "")
    assert said in one.because


def test_missing_files_leave_every_claim_untested() -> None:
    found = judged({}, {}, {}, {}, MNIST, MOST)
    assert {one.verdict for one in found} == {"not tested"}
    because = {one.id: one.because for one in found}
    assert "which `finetune` writes" in because["pretraining_is_quicker"]
    assert "reports/evaluation.json, which `evaluate` writes" in because["comparable"]
    assert because["fewer_labels"].startswith("No stage has trained")


def test_claims_have_ids_of_their_own_and_say_where_and_how() -> None:
    assert len({one.id for one in CLAIMS}) == len(CLAIMS)
    assert all(one.where[0].isdigit() and one.rule and one.wording for one in CLAIMS)


def of_dataset(name: str, classes: tuple[str, ...], most: int = MOST) -> dict[str, Judged]:
    dataset = DatasetInfo(name, classes, 28)
    found = judged(EVIDENCE, DETAILS, QUICK, replicas(), dataset, most)
    return {one.id: one for one in found}


def test_claims_on_the_ten_digits_are_made_of_these_alone() -> None:
    names = {one.id for one in CLAIMS}
    assert {*of_dataset("MNIST", DIGITS)} == names
    for classes in (FASHION, DIGITS[:9], DIGITS[::-1]):
        left = {*of_dataset("other", classes)}
        assert names - left == {"eight_half_way", "eight_between"}


def test_without_labels_no_claim_asks_for_one() -> None:
    found = of_dataset("faces", ())
    assert {*found} == {
        *("few_dimensions", "below_the_limit"),
        *("vae_error", "vae_blur", "vae_robust", "vae_smooth", "vae_between"),
    }
    said = " ".join(f"{one.wording} {one.because} {one.rule}" for one in found.values())
    assert not re.search("digit|class|accurac", said)


def test_words_are_those_of_the_data_set() -> None:
    digits, words = of_dataset("MNIST", DIGITS), of_dataset("Fashion-MNIST", FASHION)
    assert "more like digits." in digits["vae_between"].wording
    assert "more like real ones." in words["vae_between"].wording
    assert "are of the same digit." in digits["clusters"].because
    assert "are of the same class." in words["clusters"].because
    for one in words.values():
        assert not re.search(r"digit|[{}]", f"{one.wording} {one.because} {one.rule}"), one.id
    for one in digits.values():
        assert not re.search(r"class(es)?\b|[{}]", f"{one.wording} {one.because} {one.rule}"), (
            one.id
        )


def test_the_limit_is_that_of_the_search() -> None:
    assert of_dataset("MNIST", DIGITS)["below_the_limit"].verdict == "supported"  # 33
    found = of_dataset("MNIST", DIGITS, most=33)["below_the_limit"]
    assert (found.verdict, found.rule) == ("contradicted", "Z is less than 33")

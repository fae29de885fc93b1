"""All figures: equal bytes, words beside them, and what is missing."""

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from drawn import FASHION, study, trial
from latent_digits.console import UserError
from latent_digits.report.figures.drawing import Study
from latent_digits.report.figures.series import drawing, drawings
from latent_digits.report.figures.style import STYLE, WIDTH


def draw(folder: Path, shown: Study, name: str = "") -> dict[str, bytes]:
    chosen = [one for one in drawings(shown) if name in one.name]
    with drawing(folder, chosen, dpi=50) as drawn:
        return {path.name: path.read_bytes() for path in drawn()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return draw(tmp_path_factory.mktemp("figures"), study())


def test_every_figure_is_a_png_and_an_svg(files: dict[str, bytes]) -> None:
    names = [one.name for one in drawings(study())]
    assert list(files) == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert [name[:6] for name in names] == [*(f"fig{n:02}_" for n in range(1, 17)), "confus"]


def test_equal_arrays_give_equal_bytes(files: dict[str, bytes], tmp_path: Path) -> None:
    assert draw(tmp_path, study()) == files
    for content in files.values():
        assert not re.search(rb"Software|matplotlib|dc:date|20\d\d-\d\d-\d\d", content)


def test_svgs_can_stand_in_one_page(files: dict[str, bytes]) -> None:
    """No two ids are the same, each that is named is there, and no style reaches beyond."""
    svgs = [content.decode() for name, content in files.items() if name.endswith(".svg")]
    ids = [one for svg in svgs for one in re.findall(r'\bid="([^"]+)"', svg)]
    named = {one for svg in svgs for one in re.findall(r'(?:href="#|url\(#)([^")]+)', svg)}
    assert len(ids) == len(set(ids)) > 50
    assert named == set(ids)
    for svg in svgs:
        root = ElementTree.fromstring(svg)  # noqa: S314 (our own)
        assert root.get("role") == "img"
        assert "<style" not in svg
        assert "font-family" not in svg  # letters are paths


def test_labels_are_the_alternative_texts(files: dict[str, bytes]) -> None:
    for one in drawings(study()):
        root = ElementTree.fromstring(files[f"{one.name}.svg"])  # noqa: S314 (our own)
        assert root.get("aria-label") == one.alt


def test_alternative_texts_say_what_is_seen_in_numbers_and_captions_something_else() -> None:
    for one in drawings(study()):
        assert one.caption.endswith(".")
        assert one.alt.endswith(".")
        assert re.search(r"\d", one.alt), one.name
        sentences = {text for text in re.split(r"(?<=\.) ", one.alt) if len(text) > 20}
        assert not [text for text in sentences if text in one.caption], one.name


def test_words_follow_from_the_data() -> None:
    before = {one.name: one.alt for one in drawings(study())}
    arrays = study().arrays
    other = study(arrays=arrays | {"vae.prior_read": np.zeros(64, int)})
    after = {one.name: one.alt for one in drawings(other)}
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["fig14_prior_samples"]
    assert "64 as 0, 0 as 1" in after["fig14_prior_samples"]


@pytest.mark.parametrize("name", sorted(study().arrays))
def test_a_missing_array_is_a_sentence_that_names_the_stage(name: str) -> None:
    arrays = study().arrays
    with pytest.raises(UserError, match=rf"has no '{name}', .* `dvc repro evaluate` makes it"):
        drawings(study(arrays={key: arrays[key] for key in arrays if key != name}))


@pytest.mark.parametrize("name", ["mse/pca/", "labels/10"])
def test_missing_evidence_is_such_a_sentence(name: str) -> None:
    evidence = study().evidence
    without = {key: evidence[key] for key in evidence if not key.startswith(name[:7])}
    with pytest.raises(UserError, match=r"claims\.json has no '.*', .* `dvc repro evaluate`"):
        drawings(study(evidence=without))


def test_missing_facts_are_such_a_sentence() -> None:
    facts = study().facts
    with pytest.raises(UserError, match=r"has no 'layers', .* `dvc repro evaluate`"):
        drawings(study(facts={"data": facts["data"]}))


@pytest.mark.parametrize(
    "trials",
    [[], [trial(0, "complete", 0.1)], [trial(0, "degenerate", 0.1)], [trial(0, "failed", None)]],
)
def test_no_search_and_a_single_trial(tmp_path: Path, trials: list[dict]) -> None:
    assert "fig13_search.svg" in draw(tmp_path, study(trials=trials), "search")


def test_a_denoiser_without_failures(tmp_path: Path) -> None:
    arrays = study().arrays
    none = {key: arrays[key][:0] for key in arrays if key.startswith("denoiser.failed")}
    assert "fig04_denoising.svg" in draw(tmp_path, study(arrays=arrays | none), "denoising")


# ---- Of other data sets ----

OTHERS = {
    "words": study("Fashion-MNIST", FASHION),
    "two": study("switches", ["on", "off"]),
    "fifty": study("species", [f"species number {n}" for n in range(50)]),
    "letters": study("letters", [*"abcdefghijklmnopqrstuvwxyz"]),
    "small": study("pets", ["cat", "dog", "a name longer than all the others"], size=12),
    "odd": study("odd", ["$a$ & $b$", "<b> [x]", "お"], size=33),
    "unlabelled": study("faces", []),
}


@pytest.mark.parametrize("name", OTHERS)
def test_figures_of_any_data_set_speak_of_no_digits_and_no_strokes(name: str) -> None:
    for one in drawings(OTHERS[name]):
        text = f"{one.caption} {one.alt}".replace("Fashion-MNIST", "")
        assert not re.search(r"digit|MNIST|stroke|handwritten|original", text), one.name
        assert re.search(r"\d", one.alt), one.name
        assert one.alt.endswith("."), one.alt
        with matplotlib.rc_context(STYLE):
            figure = one.draw()
        assert figure.get_size_inches()[0] <= WIDTH + 1e-9, one.name


def test_words_name_the_classes() -> None:
    alts = {one.name: f"{one.caption} {one.alt}" for one in drawings(OTHERS["words"])}
    assert "T-shirt/top → Trouser" in alts["fig04_denoising"]
    assert 'an image of "T-shirt/top" and of one of "Ankle boot"' in alts["fig06_interpolation"]
    assert "7 as T-shirt/top, 7 as Trouser" in alts["fig14_prior_samples"]


def test_without_labels_there_is_no_figure_of_a_classifier() -> None:
    names = {one.name for one in drawings(study())}
    left = {one.name for one in drawings(OTHERS["unlabelled"])}
    assert names - left == {"fig08_classifier_curves", "fig16_labels", "confusion"}
    for one in drawings(OTHERS["unlabelled"]):
        assert not re.search("class|label", f"{one.caption} {one.alt}"), one.name


def test_a_class_s_name_is_drawn_letter_by_letter(tmp_path: Path) -> None:
    """A dollar begins no formula, and what the font lacks is no warning."""
    assert len(draw(tmp_path, OTHERS["odd"], "confusion")) == 2


def test_the_weight_of_the_divergence_is_said_where_it_is_not_one() -> None:
    captions = [
        next(one.caption for one in drawings(study(beta=beta)) if "curves" in one.name)
        for beta in (1.0, 4.0)
    ]
    assert "a squared error plus a KL divergence" in captions[0]
    assert "a squared error plus 4 times a KL divergence" in captions[1]

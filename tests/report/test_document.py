"""The report says what the numbers say, in all three forms, and states no number of its own."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pypdfium2
import pytest

from drawn import FASHION
from latent_digits.console import UserError
from latent_digits.data.storage import read_json, write_json
from latent_digits.report.dataset_info import DIGITS
from latent_digits.report.document import (
    OF_MNIST,
    TEMPLATE,
    parsed,
    plain,
    text_of_report,
    unmarked,
)
from latent_digits.report.html import page
from latent_digits.report.inputs import Inputs
from latent_digits.report.typeset import pdf
from latent_digits.report.values import Values
from reported import inputs as inputs_of
from reported import params
from smoke import PROJECT

REPORTS, ROOM = PROJECT / "reports", PROJECT / "src/latent_digits/report"
TEXTS = {name: (ROOM / name).read_text() for name in (TEMPLATE, OF_MNIST)}
FIGURES = sorted(set(re.findall(r'figure\("(\w+)"\) }}', TEXTS[TEMPLATE])))
# Names of models and years are no results.
ALLOWED = r"\b(19|20)\d\d\b|fig\d\d_\w+|^#+ \d |Assignment 2|_2d\b"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs_of(tmp_path_factory.mktemp("mnist"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the figures lie, each a square."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "figures").mkdir()
    for name in FIGURES:
        square = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
        (folder / f"figures/{name}.svg").write_text(square)
    return folder


def drawn() -> list[Any]:
    return [SimpleNamespace(name=n, caption=f"<{n}>", alt=f'a "{n}" [x]') for n in FIGURES]


@pytest.fixture(scope="module")
def report(inputs: Inputs) -> tuple[str, Values]:
    return text_of_report(inputs, drawn())


@pytest.mark.parametrize("name", TEXTS)
def test_a_template_states_no_number(name: str) -> None:
    text = re.sub(r"{[{%#].*?[}%#]}", "", TEXTS[name], flags=re.DOTALL)
    text = re.sub(r"\]\(http\S+\)", "]", text)
    left = [re.sub(ALLOWED, "", line) for line in text.splitlines()]
    assert [line for line in left if re.search(r"\d", line)] == []


def test_the_committed_report_has_the_values_of_the_committed_results(
    report: tuple[str, Values],
) -> None:
    committed = (REPORTS / "report.md").read_text()
    for value in report[1].printed.values():
        assert f"- {value.entry}: {value.text}\n" in committed


class Spans(HTMLParser):
    """The words of a page, the text of each value, and what is said of it."""

    def __init__(self, text: str):
        super().__init__()
        self.words, self.values, self.open = "", [], False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open = self.open or ("class", "value") in attrs
        if ("class", "value") in attrs:
            self.values.append("")

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag != "span"

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.open:
            self.values[-1] += data


def test_the_three_forms_have_the_same_values(report: tuple[str, Values], folder: Path) -> None:
    text, values = report
    shown = re.findall("\ue001(.*?)\ue002", text)
    assert len(shown) > 150
    html = page(text, values, folder)
    spans = Spans(html)
    assert len(spans.values) == len(shown)
    for printed, span in zip(shown, spans.values, strict=True):
        assert span.startswith(printed)
        assert "`" not in span
    document = pypdfium2.PdfDocument(pdf(text, folder))
    words = "".join(one.get_textpage().get_text_range() for one in document)
    squeezed = re.sub(r"[\s\u00ad\ufffe-]", "", words)
    for printed in set(shown):
        assert re.sub(r"[\s-]", "", printed) in squeezed
    assert "\ue000" not in unmarked(text) + html + words


def test_equal_values_give_equal_bytes(report: tuple[str, Values], folder: Path) -> None:
    text, values = report
    assert pdf(text, folder) == pdf(text, folder)
    assert page(text, values, folder) == page(text, values, folder)


def test_the_pdf_says_its_title_and_no_date(report: tuple[str, Values], folder: Path) -> None:
    document = pypdfium2.PdfDocument(pdf(report[0], folder))
    about = document.get_metadata_dict()
    assert about["Title"] == "Autoencoders on MNIST"
    assert not about["CreationDate"]
    assert b"pdfuaid:part" in pdf(report[0], folder)


def test_words_of_others_stay_words(report: tuple[str, Values], folder: Path) -> None:
    html = page(*report, folder)
    assert "&lt;fig02_reconstructions&gt;" in html
    assert 'alt="a &quot;fig02_reconstructions&quot; (x)"' in html


def test_headings_that_are_linked_are_there(report: tuple[str, Values]) -> None:
    text = unmarked(report[0])
    headings = [plain(one) for one in parsed(text).children if one.type == "heading"]
    links = set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert links <= {re.sub(r"[^\w-]", "", one.lower().replace(" ", "-")) for one in headings}


def test_a_result_that_is_missing_names_what_makes_it(inputs: Inputs) -> None:
    details = {name: group for name, group in inputs.details.items() if name != "pca"}
    with pytest.raises(UserError, match=r"value pca\.\w+ is missing: .* `dvc repro evaluate`"):
        text_of_report(replace(inputs, details=details), drawn())


def test_an_ablation_that_is_not_complete_is_refused(inputs: Inputs) -> None:
    rows = dict(list(inputs.ablation["rows"].items())[:-2])
    with pytest.raises(UserError, match="not complete; `make ablation`"):
        text_of_report(replace(inputs, ablation=inputs.ablation | {"rows": rows}), drawn())


def test_a_search_that_was_skipped_is_said(inputs: Inputs) -> None:
    hparams = inputs.hparams | {"found_by": "report"}
    text, _ = text_of_report(replace(inputs, hparams=hparams), drawn())
    assert "The search was skipped" in text


def test_the_front_page_has_the_results_of_the_report(report: tuple[str, Values]) -> None:
    readme = (PROJECT / "README.md").read_text()
    for name in (
        *("ae.test_mse", "denoiser.as_coded_test_mse", "vae.test_loss"),
        *("classifier.test_accuracy", "classifier_end_to_end.test_accuracy"),
    ):
        assert report[1][name].over_seeds.replace("\u00a0", " ") in readme


# ---- Other data sets, and what is not there ----


@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs_of(tmp_path_factory.mktemp("fashion"), "Fashion-MNIST", FASHION)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs_of(tmp_path_factory.mktemp("unlabelled"), "faces", (), records=False)


def text_of(inputs: Inputs) -> str:
    return unmarked(text_of_report(inputs, drawn())[0])


@pytest.mark.parametrize("which", ["fashion", "unlabelled"])
def test_a_report_on_another_data_set_says_nothing_of_the_original(
    which: str, request: pytest.FixtureRequest
) -> None:
    text, values = text_of_report(request.getfixturevalue(which), drawn())
    assert not [name for name in values if name.startswith(("paper.", "weights."))]
    said = unmarked(text).replace("Fashion-MNIST", "").replace("src/latent_digits", "")
    for word in ("digit", "MNIST", "riginal report", "author", "Manzali", "section "):
        assert word not in said, word


def test_a_report_on_another_data_set_has_results_of_its_own(fashion: Inputs) -> None:
    text = text_of(fashion)
    assert text.startswith("# Autoencoders on Fashion-MNIST\n")
    assert "| Quantity | This run | Over images | Over seeds | Seeds |" in text
    assert "| Hypothesis | Verdict | Holds |" in text
    assert "Images of one class lie together" in text
    assert "28 × 28 pixels, and 10 classes: T-shirt/top, Trouser" in text.replace("\u00a0", " ")
    assert "no labels" not in text
    assert "shows an 8" not in text  # from a 0 to a 9


def test_the_original_report_is_spoken_of_on_mnist_alone(report: tuple[str, Values]) -> None:
    text = unmarked(report[0])
    assert "| Claim | In the original report | Verdict | Holds |" in text
    assert "Half way from a 0 to a 9 the VAE shows an 8." in text
    assert "## What differs, on purpose" in text


def test_without_labels_it_is_said_once_and_nothing_is_classified(unlabelled: Inputs) -> None:
    text = text_of(unlabelled)
    assert text.count("has no labels") == 1
    body = text.partition("## Results")[2].partition("## Reproducibility")[0]
    assert not re.search("[Cc]lass|Transfer|reads|accurac|neighbour", body)
    assert re.findall("label", body) == ["label"]  # an autoencoder is given none
    titles = re.findall(r"^\*(Table \d+) –", text, re.MULTILINE)
    assert titles == [f"Table {n}" for n in range(1, 8)]


def test_without_labels_all_three_forms_are_written(unlabelled: Inputs, folder: Path) -> None:
    text, values = text_of_report(unlabelled, drawn())
    assert "<title>Autoencoders on faces</title>" in page(text, values, folder)
    assert pdf(text, folder).startswith(b"%PDF")


@pytest.mark.parametrize(("name", "classes"), [("MNIST", DIGITS), ("Fashion-MNIST", FASHION)])
def test_records_of_another_split_are_left_out(
    name: str, classes: tuple[str, ...], tmp_path: Path
) -> None:
    found = inputs_of(tmp_path, name, classes, records=False)
    text = text_of(found)
    assert "±" not in text.partition("## Reproducibility")[0].replace("the mean ±", "")
    assert not re.search(r"over \d+ seeds|commit \.|Made by: make (replicas|ablation)", text)
    assert "`make replicas` tries more" in text
    assert "is not known: `make ablation` measures it" in text


def test_a_record_that_names_no_split_is_of_mnist(tmp_path: Path) -> None:
    reports = inputs_of(tmp_path / "once") and tmp_path / "once/reports"
    record = read_json(reports / "replicas.json")
    del record["split"]
    write_json(reports / "replicas.json", record)
    for name, counts in (("MNIST", True), ("Fashion-MNIST", False)):
        facts = {"data": {"name": name, "classes": list(DIGITS), "size": 28}}
        assert Inputs.read(reports, params(), {}, facts).has_seeds == counts


def test_the_weight_of_the_divergence_is_said_where_it_is_not_one(
    inputs: Inputs, tmp_path: Path
) -> None:
    assert "plus the divergence" in text_of(inputs)
    assert "Higgins" not in text_of(inputs)
    text = text_of(inputs_of(tmp_path, train_vae={"beta": 4.0}))
    assert "plus 4 times the divergence" in text
    assert "of variance half that weight" in text
    assert text.count("Higgins") == 2


def test_widths_have_columns_where_the_search_had_a_choice(inputs: Inputs, tmp_path: Path) -> None:
    assert "Channels" not in text_of(inputs)
    space = inputs.params["tune"]["space"] | {"channels": [[8, 16, 32], [16, 32, 64]]}
    text = text_of(inputs_of(tmp_path, tune={"space": space}))
    assert "| Dropout | Channels |" in text
    assert "| 0.001844 | 8, 16, 32 |" in text


def test_names_that_mean_something_to_markdown_are_only_names(folder: Path, tmp_path: Path) -> None:
    odd = inputs_of(tmp_path, "my_*own*_<b>set</b>", ["*star*", "a | b", "お"])
    text, values = text_of_report(odd, drawn())
    html = page(text, values, folder)
    assert "Autoencoders on my_*own*_&lt;b&gt;set&lt;/b&gt;</h1>" in html
    assert " classes: *star*, a | b, hiragana letter o." in Spans(html).words
    assert pdf(text, folder).startswith(b"%PDF")

"""The report says what the numbers say, in all three forms, and states no number of its own."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pypdfium2
import pytest

from latent_digits.console import UserError
from latent_digits.project.params import load_params
from latent_digits.project.provenance import locked, read_study
from latent_digits.report.document import parsed, plain, text_of_report, unmarked
from latent_digits.report.html import page
from latent_digits.report.inputs import Inputs
from latent_digits.report.typeset import pdf
from latent_digits.report.values import Values
from smoke import PROJECT

REPORTS, ROOM = PROJECT / "reports", PROJECT / "src/latent_digits/report"
FIGURES = sorted(set(re.findall(r'"((?:fig\d\d_)?\w+)"\) }}', (ROOM / "report.md.j2").read_text())))
# Names of models and years are no results.
ALLOWED = r"\b(19|20)\d\d\b|fig\d\d_\w+|^#+ \d |Assignment 2|_2d\b"


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    read = locked(read_study(PROJECT).lock["plot"], "deps")
    data = {path: md5 for path, md5 in read.items() if path.startswith("data/")}
    return Inputs.read(REPORTS, load_params().model_dump(), data)


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


def test_the_template_states_no_number() -> None:
    text = re.sub(r"{[{%#].*?[}%#]}", "", (ROOM / "report.md.j2").read_text(), flags=re.DOTALL)
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

"""The generated report as one text, of which its three forms are made.

`report.md.j2`, which speaks of any data set, or `mnist.md.j2`, which extends it by the original
report, is filled with values by name, tables and figures. Markdown itself is the tree that the
writers walk: headings, paragraphs, lists, tables, images.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode as Node

from latent_digits.report.checklist import checklist, checklist_values, verified
from latent_digits.report.figures.drawing import Drawing
from latent_digits.report.inputs import Inputs, all_values
from latent_digits.report.tables import tables, whence
from latent_digits.report.values import MARKED, Values

TEMPLATE, OF_MNIST = "report.md.j2", "mnist.md.j2"
NAMED = 30  # classes, at most, that a sentence names
TABLES = ("results", "data", "hyperparameters", "noise", "classifiers", "ablation", "dead")
TABLES += ("verified", "checklist")


def text_of_report(inputs: Inputs, drawn: Sequence[Drawing]) -> tuple[str, Values]:
    """The report in Markdown with its values marked, and these."""
    values = Values(chain(all_values(inputs), checklist_values(inputs)))
    tabled, dataset = tables(inputs, values), inputs.dataset
    titles = table_titles([*tabled, "verified", "checklist"])
    numbers = {one.name: figure_name(one.name) for one in drawn}

    def figure(name: str) -> str:
        one = next(one for one in drawn if one.name == name)
        alt = literal(one.alt.replace("[", "(").replace("]", ")"))
        return f"![{alt}](figures/{name}.png)\n*{numbers[name]} – {literal(one.caption)}*"

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown of our own numbers, not HTML of a visitor's)
    )
    text = environment.get_template(OF_MNIST if dataset.is_mnist else TEMPLATE).render(
        name=literal(dataset.name),
        dataset=dataset,
        classes=literal(", ".join(dataset.classes if len(dataset.classes) <= NAMED else [])),
        stratified=dataset.labelled and inputs.params["prepare"]["stratify"],
        v=values.show,
        interval=lambda name: values.show(name, "interval"),
        spread=lambda name: values.show(name, "over_seeds"),
        table=titles.__getitem__,
        figure=figure,
        ref=lambda name: numbers[name].lower(),
        figures=numbers,
        ended=lambda name: ended(values, name),
        seeds=inputs.has_seeds,
        ablated=bool(inputs.ablation["rows"]),
        weighted=weighted(inputs, values),
        widths=inputs.widths,
        found_by_search=inputs.hparams["found_by"] == "search",
        heads_ablated="ablation.heads.untrained.raw" in values,
        blind_search="search" in inputs.ablation,
        edge=inputs.hparams["latent_dim"] == inputs.params["tune"]["space"]["latent_dim"]["high"],
        timed="verified.whole" in values,
        **tabled,
        verified=verified(values),
        checklist=checklist(
            literal(dataset.name),
            values,
            {titles[name].lower(): text for name, text in tabled.items()},
        ),
    )
    return f"{text}\n{whence(values)}", values


def table_titles(there: Sequence[str]) -> dict[str, str]:
    """ "Table 3" for the third of TABLES that is there; others have their own name."""
    order = [name for name in TABLES if name in there]
    return {name: f"Table {order.index(name) + 1}" if name in order else name for name in there}


def figure_name(name: str) -> str:
    """ "Figure 3" for "fig03_noise"; other names are a figure's own."""
    found = re.match(r"fig(\d+)_", name)
    return f"Figure {int(found[1])}" if found else name.replace("_", " ").capitalize()


def literal(text: str) -> str:
    """The text in Markdown, in which a class's name may hold what has a meaning there."""
    return re.sub(r"([\\`*_|<])", r"\\\1", text)


def weighted(inputs: Inputs, values: Values) -> str:
    """How often the VAE's loss has the divergence, where that is not once: "4 times "."""
    once = inputs.params["train_vae"]["beta"] == 1
    return "" if once else f"{values.show('params.train_vae.beta')} times "


def ended(values: Values, model: str) -> str:
    """What is to be said of a training that was still getting better when it ended."""
    if values[f"history.{model}.kept"].raw < values[f"history.{model}.epochs"].raw:
        return ""
    return ", the last: it was still getting better"


def parsed(text: str) -> Node:
    """The tree of a text in Markdown with tables."""
    return Node(MarkdownIt("commonmark", {"html": False}).enable("table").parse(text))


def split_marks(text: str) -> Iterator[tuple[str, str]]:
    """Parts of a text, each with the name of its value, or none."""
    end = 0
    for mark in MARKED.finditer(text):
        yield "", text[end : mark.start()]
        yield mark[1], mark[2]
        end = mark.end()
    yield "", text[end:]


def unmarked(text: str) -> str:
    """The text as a reader of Markdown gets it."""
    return MARKED.sub(r"\2", text)


def plain(node: Node) -> str:
    """The words of a node."""
    return unmarked("".join(one.content for one in node.walk() if one.type == "text"))


def anchor(heading: Node) -> str:
    """A heading's address on the page, as a code host makes it."""
    kept = re.sub(r"[^\w\- ]", "", plain(heading).lower())
    return kept.replace(" ", "-")

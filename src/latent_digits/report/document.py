"""The generated report as one text, of which its three forms are made.

`report.md.j2` is filled with values by name, tables and figures. Markdown itself is the tree that
the writers walk: headings, paragraphs, lists, tables, images.
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

TEMPLATE = "report.md.j2"
TITLE = "Autoencoders on MNIST"
TABLES = ("results", "data", "hyperparameters", "noise", "classifiers", "ablation", "dead")
TABLES += ("verified", "checklist")


def text_of_report(inputs: Inputs, drawn: Sequence[Drawing]) -> tuple[str, Values]:
    """The report in Markdown with its values marked, and these."""
    values = Values(chain(all_values(inputs), checklist_values(inputs)))
    tabled = tables(inputs, values)
    numbers = {one.name: figure_name(one.name) for one in drawn}

    def figure(name: str) -> str:
        one = next(one for one in drawn if one.name == name)
        alt = one.alt.replace("[", "(").replace("]", ")")
        return f"![{alt}](figures/{name}.png)\n*{numbers[name]} – {one.caption}*"

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown of our own numbers, not HTML of a visitor's)
    )
    text = environment.get_template(TEMPLATE).render(
        title=TITLE,
        v=values.show,
        interval=lambda name: values.show(name, "interval"),
        spread=lambda name: values.show(name, "over_seeds"),
        table=title_of,
        figure=figure,
        ref=lambda name: numbers[name].lower(),
        figures=numbers,
        ended=lambda name: ended(values, name),
        found_by_search=inputs.hparams["found_by"] == "search",
        heads_ablated="ablation.heads.untrained.raw" in values,
        blind_search="search" in inputs.ablation,
        edge=inputs.hparams["latent_dim"] == inputs.params["tune"]["space"]["latent_dim"]["high"],
        timed="verified.whole" in values,
        **tabled,
        verified=verified(values),
        checklist=checklist(
            values, {title_of(name).lower(): text for name, text in tabled.items()}
        ),
    )
    return f"{text}\n{whence(values)}", values


def title_of(table: str) -> str:
    """ "Table 3" for the third of TABLES, else a table's own name."""
    return f"Table {TABLES.index(table) + 1}" if table in TABLES else table


def figure_name(name: str) -> str:
    """ "Figure 3" for "fig03_noise"; other names are a figure's own."""
    found = re.match(r"fig(\d+)_", name)
    return f"Figure {int(found[1])}" if found else name.replace("_", " ").capitalize()


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

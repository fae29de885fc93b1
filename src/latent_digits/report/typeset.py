"""The report as a PDF file, typeset by Typst with the fonts that it ships: PDF/UA-1, no date."""

import json
from pathlib import Path
from typing import Any

import typst
from markdown_it.tree import SyntaxTreeNode as Node

from latent_digits.report.document import anchor, parsed, plain, split_marks

PREAMBLE = Path(__file__).with_name("report.typ").read_text(encoding="utf-8")


def pdf(text: str, folder: Path) -> bytes:
    """The report's text as PDF; its figures lie in `folder`, as SVG beside the PNG it names."""
    root = parsed(text)
    title = next(plain(node) for node in root.children if node.type == "heading")
    source = f"#set document(title: {quoted(title)}, date: none)\n{PREAMBLE}\n{typ(root)}"
    options: Any = {"root": folder, "pdf_standards": ["ua-1"], "ignore_system_fonts": True}
    return bytes(typst.compile(source.encode(), format="pdf", **options))


def quoted(text: str) -> str:
    """A string of Typst's."""
    return json.dumps(text, ensure_ascii=False)


def typ(node: Node) -> str:
    """A tree of Markdown in Typst's markup; texts are strings, in which nothing has a meaning."""
    inner = "".join(typ(child) for child in node.children)
    match node.type:
        case "text":
            words = "".join(text for _, text in split_marks(node.content))
            return f"#{quoted(words)};" if words else ""
        case "code_inline":
            return f"#raw({quoted(node.content)});"
        case "softbreak":
            return " "
        case "strong":
            return f"#strong[{inner}];"
        case "em":
            return f"#emph[{inner}];"
        case "link":
            target = str(node.attrs["href"])
            to = f"<{target[1:]}>" if target.startswith("#") else quoted(target)
            return f"#link({to})[{inner}];"
        case "heading":
            return f"#heading(level: {node.tag[1]})[{inner}] <{anchor(node)}>\n\n"
        case "paragraph":
            first, *rest = node.children[0].children
            if first.type != "image":
                caption = first.type == "em" and len(rest) == 0
                return f"#caption[{inner}]\n\n" if caption else f"{inner}\n\n"
            file = str(Path(str(first.attrs["src"])).with_suffix(".svg"))
            source = f"{quoted(file)}, alt: {quoted(plain(first))}"
            caption = "".join(typ(one) for one in rest)
            return f"#drawn(image({source}), [{caption}])\n\n"
        case "bullet_list":
            return f"#list({', '.join(f'[{typ(one)}]' for one in node.children)})\n\n"
        case "table":
            return table(node)
    return inner


def table(node: Node) -> str:
    """A table with its header, which is repeated on each page."""
    head, *body = [row for part in node.children for row in part.children]
    sides = ["right" if "right" in str(c.attrs.get("style", "")) else "left" for c in head.children]
    cells = ", ".join(f"[{typ(cell)}]" for row in body for cell in row.children)
    header = ", ".join(f"[{typ(cell)}]" for cell in head.children)
    widths, align = "auto, " * len(sides), ", ".join(sides)
    rule = "table.hline()"
    return (
        f"#table(columns: ({widths}), align: ({align},), {rule}, table.header({header}), {rule}, "
        f"{cells}, {rule})\n\n"
    )

"""The report as one HTML file with its figures inside, in which every number says whence it is.

Nothing is fetched and no script runs: the page's own policy forbids both.
"""

import base64
import hashlib
from html import escape
from pathlib import Path

from markdown_it.tree import SyntaxTreeNode as Node

from latent_digits.report.document import anchor, parsed, plain, split_marks
from latent_digits.report.values import Values

STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
TAGS = {
    **{"strong": "strong", "em": "em", "bullet_list": "ul", "list_item": "li", "table": "table"},
    **{"thead": "thead", "tbody": "tbody", "tr": "tr", "root": "main", "code_inline": "code"},
}


def page(text: str, values: Values, folder: Path) -> str:
    """The report's text as a page; its figures lie in `folder`, as SVG beside the PNG it names."""
    root = parsed(text)
    title = next(plain(node) for node in root.children if node.type == "heading")
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{Page(values, folder).html(root)}\n</body>\n</html>\n"
    )


class Page:
    """Writes a tree of Markdown as HTML."""

    def __init__(self, values: Values, folder: Path):
        self.values, self.folder = values, folder
        self.shown = 0

    def html(self, node: Node) -> str:
        if node.type == "paragraph":
            return self.paragraph(node)
        inner = self.text(node.content) if node.type in ("text", "code_inline") else self.all(node)
        match node.type:
            case "text" | "inline":
                return inner
            case "softbreak":
                return "\n"
            case "heading":
                return f'<{node.tag} id="{anchor(node)}">{inner}</{node.tag}>\n'
            case "link":
                return f'<a href="{escape(str(node.attrs["href"]))}">{inner}</a>'
            case "th" | "td":
                right = "right" in str(node.attrs.get("style", ""))
                scope = ' scope="col"' if node.type == "th" else ""
                return (
                    f"<{node.type}{scope}{' class=number' if right else ''}>{inner}</{node.type}>"
                )
            case "table":
                return f'<div class="wide" tabindex="0"><table>{inner}</table></div>\n'
        tag = TAGS[node.type]
        return f"<{tag}>{inner}</{tag}>" + "\n" * (node.type not in ("strong", "em", "code_inline"))

    def all(self, node: Node) -> str:
        return "".join(self.html(child) for child in node.children)

    def paragraph(self, node: Node) -> str:
        """A figure where it begins with an image, its caption behind it."""
        first, *rest = node.children[0].children
        if first.type != "image":
            lead = first.type == "em" and not [one for one in rest if one.type != "text"]
            return f"<p{' class=caption' if lead else ''}>{self.all(node)}</p>\n"
        caption = "".join(self.html(one) for one in rest).strip()
        return f"<figure>{self.image(first)}<figcaption>{caption}</figcaption></figure>\n"

    def image(self, node: Node) -> str:
        file = self.folder / Path(str(node.attrs["src"])).with_suffix(".svg")
        content = base64.b64encode(file.read_bytes()).decode()
        return f'<img alt="{escape(plain(node))}" src="data:image/svg+xml;base64,{content}">'

    def text(self, text: str) -> str:
        """Values show whence they are, to a pointer and to the keyboard."""
        parts = []
        for name, part in split_marks(text):
            if not name:
                parts.append(escape(part, quote=False))
                continue
            self.shown += 1
            value, tip = self.values[name], f"whence-{self.shown}"
            about = " ".join(filter(None, (value.entry, "in", value.source.name)))
            parts.append(
                f'<span class="value" tabindex="0" aria-describedby="{tip}">{escape(part)}'
                f'<span role="tooltip" id="{tip}">{escape(about)}<br>'
                f"<code>{escape(value.source.command)}</code>"
                + (f"<br>MD5 {value.source.digest}" if value.source.digest else "")
                + "</span></span>"
            )
        return "".join(parts)

"""The generated report as one HTML page with its figures inside, for MLflow's artifact viewer."""

import base64
import re
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
img { max-width: 100%; }
table { border-collapse: collapse; }
td, th { border: 1px solid #ccc; padding: 0.2em 0.6em; }
"""


def page(report: Path) -> str:
    """The Markdown file at `report` as HTML; images beside it become part of the page."""
    body = MarkdownIt("commonmark").enable("table").render(report.read_text(encoding="utf-8"))

    def inside(match: re.Match[str]) -> str:
        image = report.parent / match[1]
        if not image.is_file():
            return match[0]
        return f'src="data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"'

    body = re.sub(r'src="([^":]+\.png)"', inside, body)
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{body}'

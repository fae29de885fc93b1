"""Markdown that fits where it is shown: whole rows, and a sentence that says where the rest is."""

from collections.abc import Callable


def cut(text: str, most: int, sentence: str, size: Callable[[str], int] = len) -> str:
    """The text, or as many of its lines as fit with the sentence; what is unfolded is closed.

    `size` is that of a text in the unit of `most`: characters, or `in_bytes`.
    """
    if size(text) <= most:
        return text
    lines, fitting, end = text.split("\n"), 0, sentence
    used = folds = 0
    for number, line in enumerate(lines, 1):
        used += size(f"{line}\n")
        folds += line.count("<details") - line.count("</details")
        closing = "\n\n</details>" * folds + f"\n\n{sentence}"
        if used + size(closing) <= most:
            fitting, end = number, closing
        if used > most:
            break
    return "\n".join(lines[:fitting]) + end


def in_bytes(text: str) -> int:
    return len(text.encode())

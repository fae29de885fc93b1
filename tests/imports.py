"""Which file of the library imports which, as their text says; nothing is run."""

import ast
from collections.abc import Callable, Iterable
from pathlib import Path

from smoke import PROJECT

SOURCE = PROJECT / "src/latent_digits"
MODULES = sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> set[Path]:
    """The library's files that Python runs for the imports in a file, at whatever depth."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {file for name in names for file in files_behind(name)}


def files_behind(name: str) -> Iterable[Path]:
    """The file of a module, or of what is in one, and those of the packages that it lies in."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1) if parts[0] == SOURCE.name else ():
        place = SOURCE.parent.joinpath(*parts[:count])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if file.exists():
            yield file


def closure(paths: Iterable[Path], stops: Callable[[Path], bool] = lambda path: False) -> set[Path]:
    """What the files import, directly or not; those at which it `stops` are left out."""
    found: set[Path] = set()
    waiting = set(paths)
    while waiting:
        new = {one for one in imported(waiting.pop()) if not stops(one)} - found
        found |= new
        waiting |= new
    return found

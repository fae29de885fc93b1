"""YAML as DVC reads and writes it, for `params.yaml`, `dvc.yaml` and `dvc.lock`.

DVC follows YAML 1.2, PyYAML 1.1: there 1e-05 is text, 010 is eight and yes is true. What is a value
here is the same value in 1.2; what only one of the two takes for a number or a truth is text here.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from latent_digits.console import UserError

FORMS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9]\d{0,299})",  # as many digits as a float can have
    "float": r"[-+]?((\d+\.\d*|\.\d+)([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.inf)|\.nan",
    "merge": r"<<",
}
SCALARS = {kind: re.compile(rf"({form})\Z", re.ASCII) for kind, form in FORMS.items()}


class Reader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's scalars; a key may stand once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys: list[Any] = []
        for key, _ in node.value:
            if key.value in keys:
                again = f"again in line {key.start_mark.line + 1}"
                raise ConstructorError(problem=f"{key.value} stands there twice, {again}")
            keys.append(key.value)
        return super().construct_mapping(node, deep)


Reader.yaml_implicit_resolvers = {}
for kind, form in SCALARS.items():
    Reader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", form, [None])


def read(path: Path) -> Any:
    """The values in a YAML file. Raises UserError when it is none, FileNotFoundError without it."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        found = " ".join(str(error).split())
        raise UserError(f"{path} is no readable YAML file: {found}") from None


def parse(text: str) -> Any:
    """The values in a YAML text, None if there are none. Raises YAMLError."""
    return yaml.load(text, Reader)  # noqa: S506 (a safe loader)


def is_number(text: str) -> bool:
    """Whether `text` would be a number, had it no quotes."""
    return any(SCALARS[kind].match(text) for kind in ("int", "float"))

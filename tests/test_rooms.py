"""The plan of the library: rooms that import downwards alone, and tests that mirror them."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from imports import MODULES, SOURCE, closure, imported
from smoke import PROJECT

HALL = {"__init__", "arithmetic", "beside", "catalogue", "console", "seeds", "starting"}
# From bottom to top. A room imports from those in the lines above it, not from those beside it.
LAYERS = (
    {"hall"},
    {"engine", "data"},
    {"project"},
    {"models"},
    {"training"},
    {"tracking"},
    {"preparation", "search", "study"},
    {"evaluation"},
    {"report", "comparison"},
    {"github"},
    {"commands"},
)
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
OWNERS = {
    "distributed": {"training/workers.py"},
    "lightning_fabric": {"training/ranks.py"},
    "numba": {"engine/kernels.py", "arithmetic.py"},  # which settles how it compiles
    "onnx": {"commands/export.py"},
    "optuna": {"search/sampler.py"},
    "torchvision": {"preparation/known.py"},
}
# What is of no one module. Tests of the hall lie beside them.
WHOLE = {"browser", "golden", "kills", "own_code", "own_data", "parent_runs", "pipeline", "rooms"}
WHOLE |= {"sharing", "speed", "tracking_server", "workflows"}


def room_of(path: Path) -> str:
    first, *rest = path.relative_to(SOURCE).parts
    return first if rest else "hall"


def test_every_module_is_in_a_room_or_the_hall() -> None:
    assert {room_of(path) for path in MODULES} == {*LEVELS}
    assert {path.stem for path in SOURCE.glob("*.py")} == HALL


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.relative_to(SOURCE)}")
def test_no_room_imports_upwards(path: Path) -> None:
    own = room_of(path)
    others = {room_of(one) for one in imported(path)} - {own}
    assert not {one for one in others if LEVELS[one] >= LEVELS[own]}


def test_modules_import_in_no_circle() -> None:
    files = {path for path in MODULES if path.stem != "__init__"}
    TopologicalSorter({path: imported(path) & files for path in files}).prepare()


def test_the_engine_knows_no_other_room() -> None:
    engine = [path for path in MODULES if room_of(path) == "engine"]
    package = SOURCE / "__init__.py"  # which Python runs before any of its modules
    found = {one for path in engine for one in imported(path)} - {package}
    assert {room_of(one) for one in found} <= {"engine"}


@pytest.mark.parametrize("room", ["data", "preparation", "evaluation", "report"])
def test_what_only_looks_never_imports_training(room: str) -> None:
    found = closure(path for path in MODULES if room_of(path) == room)
    assert "training" not in {room_of(one) for one in found}


def importers(library: str) -> set[str]:
    """The files of the library, and of the stages, that import another library."""
    pattern = re.compile(rf"^\s*(from|import) {library}\b", re.MULTILINE)
    paths = [*MODULES, *(PROJECT / "stages").glob("*.py")]
    found = [path for path in paths if pattern.search(path.read_text())]
    names = (path.relative_to(PROJECT).as_posix() for path in found)
    return {name.removeprefix("src/latent_digits/") for name in names}


@pytest.mark.parametrize("library", OWNERS)
def test_one_module_imports_each_library(library: str) -> None:
    assert importers(library) == OWNERS[library]


@pytest.mark.parametrize(
    ("library", "folder"), [("matplotlib", "report/figures"), ("mlflow", "tracking/mlflow")]
)
def test_one_folder_imports_each_library(library: str, folder: str) -> None:
    assert {Path(one).parent for one in importers(library)} == {Path(folder)}


@pytest.mark.parametrize("room", [*sorted({*LEVELS} - {"hall"}), "tracking/mlflow"])
def test_a_room_says_what_it_is_for(room: str) -> None:
    tree = ast.parse((SOURCE / room / "__init__.py").read_text())
    says = ast.get_docstring(tree) or ""
    assert says.partition("\n")[0].endswith(".")
    assert len(tree.body) == 1 or room == "engine"  # nothing is imported through it


def test_tests_mirror_the_rooms() -> None:
    tests = PROJECT / "tests"
    for path in tests.rglob("test_*.py"):
        module = path.relative_to(tests).with_name(path.name.removeprefix("test_"))
        of_whole = path.parent == tests and module.stem in WHOLE
        assert of_whole != (SOURCE / module).exists(), f"{path} is of no module or room"


def test_the_readme_has_the_whole_plan() -> None:
    text = (PROJECT / "README.md").read_text()
    plan = text.partition("src/latent_digits/  the library")[2].partition("\nreports/")[0]
    rooms = re.findall(r"^ +(\w+)/ ", plan, re.MULTILINE)
    assert set(rooms) == {*LEVELS, "mlflow"} - {"hall"}
    assert all(re.search(rf"the hall .*\b{name}\b", plan) for name in HALL - {"__init__"})
    levels = [LEVELS[room] for room in rooms if room != "mlflow"]
    assert levels == sorted(levels)


def test_the_readme_says_where_to_change_things() -> None:
    table = (PROJECT / "README.md").read_text().partition("| to change |")[2].partition("\n\n")[0]
    files = re.findall(r"`([\w/.]+\.(?:py|j2))`", table)
    assert len(files) > 15
    assert [file for file in files if not (SOURCE / file).exists()] == []

"""Does the code keep to the picture of the house in docs/architecture.md?"""

import ast
import importlib
import importlib.util
import pkgutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import click
import pytest
from tables import each

SOURCE = Path(__file__).parent.parent / "src"
FILES = sorted((SOURCE / "gradstep").rglob("*.py"))

# room: the rooms it imports. What those import it may import too; nothing else.
ARROWS = {
    "expression": [],
    "operations": ["expression"],
    "calculus": ["operations"],
    "notation": ["calculus"],
    "backends": ["operations"],
    "learn": ["calculus", "backends"],
    "datasets": ["expression"],
    "page": ["notation", "learn"],
}
# The doors of the house: they see everything, and may look public names up in a table of strings.
DOORS = {
    "gradstep",
    "public",
    "checks",
    "functions",
    "running",
    "estimated",
    "estimators",
    "library",
    "commands",
    "cli",
    "app",
    "__main__",
}

# Third-party packages, by the rooms that may import them as they load. A command that only derives loads the
# first four rooms, so these load nothing; in a function any room may import any package of the table.
LOADED = {
    "numpy": {"backends", "learn", "page", "commands", "app", "estimators"},
    "click": {"commands", "cli", "app"},
    "rich": {"commands", "cli", "app"},
    "safetensors": {"learn"},
    "sklearn": {"learn", "estimators"},
    "starlette": {"app"},
    "uvicorn": {"app"},
    "threadpoolctl": set(),
    "llvmlite": set(),
    "pyarrow": set(),
    "duckdb": set(),
    "adbc_driver_sqlite": set(),
    "adbc_driver_postgresql": set(),
    "dask": set(),
    "distributed": set(),
    "psutil": set(),
    "torch": set(),
    "jax": set(),
    "mpmath": set(),
    "IPython": set(),
    "anywidget": {"page"},
    "traitlets": {"page"},
}

LATE = "gradstep.expression.late"  # where a module is loaded by its name; `late("…")` counts as an import

LINES_OF_A_FILE = 500


@dataclass(frozen=True)
class Import:
    """One imported module: dotted name, line, and where the statement stands."""

    name: str
    line: int
    in_function: bool
    for_types: bool
    late: bool = False  # it loads when it is first used


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def room_of(name: str) -> str:
    """gradstep.calculus.laws is in the room calculus; gradstep itself is a room of one file."""
    return [*name.split("."), "gradstep"][1]


def reachable(room: str) -> set[str]:
    return {room}.union(*(reachable(below) for below in ARROWS[room]))


@cache
def imports(file: Path) -> list[Import]:
    found = []
    package = module_name(file.with_name("__init__.py"))

    def visit(node: ast.AST, in_function: bool, for_types: bool) -> None:
        for name in imported_names(node, package):
            found.append(Import(name, node.lineno, in_function, for_types))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "late":
            found.append(Import(ast.literal_eval(node.args[0]), node.lineno, in_function, for_types, True))
        in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        guarded = node.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" else []
        for child in ast.iter_child_nodes(node):
            visit(child, in_function, for_types or child in guarded)

    visit(ast.parse(file.read_text(encoding="utf-8")), False, False)
    return found


def imported_names(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        origin = node.module or ""
        if node.level:
            origin = importlib.util.resolve_name("." * node.level + origin, package)
        # `from gradstep.calculus import laws` imports the module laws, `from … import derive` a name.
        return [f"{origin}.{a.name}" if f"{origin}.{a.name}" in MODULES else origin for a in node.names]
    return []


def is_ours(found: Import) -> bool:
    return found.name.partition(".")[0] == "gradstep"


def at(file: Path, found: Import) -> str:
    return f"{file.relative_to(SOURCE.parent)}:{found.line} imports {found.name}"


def of_files(tests=1):
    return each("file", FILES, module_name, tests)


@of_files(tests=4)
def test_every_import_follows_an_arrow(file):
    room = room_of(module_name(file))
    if room in DOORS:
        return
    assert room in ARROWS, f"{room} is not in the picture of the house: draw it there first"
    wrong = [
        at(file, found)
        for found in imports(file)
        if is_ours(found) and room_of(found.name) not in reachable(room)
    ]
    assert not wrong, f"{room} may import only {', '.join(sorted(reachable(room)))}"


@of_files()
def test_no_import_of_our_own_is_hidden(file):
    wrong = [
        at(file, found)
        for found in imports(file)
        if is_ours(found) and found.in_function and not found.for_types
    ]
    if room_of(module_name(file)) not in DOORS and module_name(file) != LATE:
        text = file.read_text(encoding="utf-8")
        wrong += [f"{file.name} calls {name}" for name in ("import_module(", "__import__(") if name in text]
    assert not wrong, "an import hidden in a function hides an arrow"


@of_files()
def test_what_loads_late_is_what_type_checkers_see(file):
    late = {found.name for found in imports(file) if found.late}
    assert late <= {found.name for found in imports(file) if found.for_types}
    assert all(importlib.util.find_spec(name) for name in late)


@of_files()
def test_third_party_packages_load_where_they_may(file):
    room = room_of(module_name(file))
    for found in imports(file):
        package = found.name.partition(".")[0]
        if is_ours(found) or package in sys.stdlib_module_names:
            continue
        assert package in LOADED, f"{at(file, found)}, which is not among our dependencies"
        if not (found.in_function or found.for_types):
            assert room in LOADED[package], (
                f"{at(file, found)} as it loads: import it in the function that needs it"
            )


# What makes objects of bytes can be made to run anything; messages between workers are made so by Dask.
UNSAFE = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
NUMPY_READS = {"load", "read_array"}
EXCEPTED = {("gradstep.learn.workers", "distributed.protocol.pickle")}


@of_files()
def test_nothing_is_read_that_could_run(file):
    text = file.read_text(encoding="utf-8")
    if not any(word in text for word in (*UNSAFE, ".load", ".read_array")):
        return
    for node in ast.walk(ast.parse(text)):
        origin = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names = node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
        for name in [".".join([*origin, alias.name]) for alias in names]:
            allowed = (module_name(file), name) in EXCEPTED
            assert allowed or not UNSAFE & set(name.split(".")), f"line {node.lineno} imports {name}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("read_pickle", "to_pickle"), f"line {node.lineno}: {node.attr}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "torch.load", f"line {node.lineno}: {called}"
            if called.partition(".")[0] in ("np", "numpy") and called.rpartition(".")[2] in NUMPY_READS:
                safe = [ast.unparse(each.value) for each in node.keywords if each.arg == "allow_pickle"]
                assert safe == ["False"], f"line {node.lineno}: {called} without allow_pickle=False"


def test_modules_import_each_other_in_no_circle():
    graph = {
        name: {found.name for found in imports(file) if is_ours(found) and not found.for_types}
        for name, file in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@of_files()
def test_a_file_answers_one_question(file):
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= LINES_OF_A_FILE, "split it by the questions it answers"


def strings_of_tables(file: Path) -> list[str]:
    """The strings in a module's own tables that name something of ours: "gradstep.notation.parsing:parse"."""
    tables = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if hasattr(node, "value")]
    texts = [part.value for table in tables for part in ast.walk(table) if isinstance(part, ast.Constant)]
    rooms = tuple(
        f"{prefix}{room}." for room in [*ARROWS, *DOORS - {"gradstep"}] for prefix in ("gradstep.", ".", "")
    )
    return [text for text in texts if isinstance(text, str) and text.startswith(rooms) and " " not in text]


@pytest.mark.parametrize("door", ["gradstep", "gradstep.cli"])
def test_what_a_lazy_table_names_exists(door):
    for text in strings_of_tables(MODULES[door]):
        pkgutil.resolve_name("gradstep." + text.removeprefix("gradstep").removeprefix("."))


def test_every_public_name_exists():
    gradstep = importlib.import_module("gradstep")
    assert gradstep.__all__
    assert [name for name in gradstep.__all__ if not hasattr(gradstep, name)] == []


def test_every_subcommand_exists():
    group = importlib.import_module("gradstep.cli").group
    context = click.Context(group)
    assert group.list_commands(context)
    assert [name for name in group.list_commands(context) if group.get_command(context, name) is None] == []


def test_importing_gradstep_loads_nothing_slow():
    ask = f"import sys, gradstep; print(*set({sorted(LOADED)}) & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []

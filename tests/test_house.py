"""What the house is built like: read from its source, so that no wall moves unnoticed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "charrepl": ROOT / "charrepl",
    "charrepl_daemon": ROOT / "daemon" / "charrepl_daemon",
    "charrepl_train": ROOT / "train" / "charrepl_train",
}
FILES = sorted(path for package in PACKAGES.values() for path in package.rglob("*.py"))
# What the daemon shares with training: how a model is built, kept and run.
SHARED = {
    "model.parameters",
    "model.lstm",
    "text.vocabulary",
    "model_directory.loaded_model",
    "devices.jax_setup",
    "hyperparameters",
}
HEAVY = {"jax", "jaxlib", "flax", "optax", "orbax", "numpy"}

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever it does, by its dotted name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    return next(name for name, package in PACKAGES.items() if path.is_relative_to(package))


# The folders and files of each room from the bottom up: each imports only from those before it.
ORDER = {
    "charrepl": [
        "version",
        "resource_shortage",
        "errors",
        "text",
        "system",
        "files",
        "shell_history",
        "wire",
        "ghost",
        "settings",
        "terminal",
        "client",
        "writing",
        "suggestions",
        "autosuggest",
        "ipython",
        "line_protocol",
        "shells",
        "http_server",
        "lsp",
        "editing",
        "commands",
        "repl",
        "evaluation",
        "cli",
        "__main__",
    ],
    "charrepl_train": [
        "hyperparameters",
        "cleaning",
        "text",
        "devices",
        "model",
        "model_directory",
        "optimisation",
        "run",
        "bundle",
        "display",
        "command",
        "cli",
        "__main__",
    ],
    "charrepl_daemon": [
        "process",
        "metrics",
        "model",
        "engine",
        "sockets",
        "serving",
        "lifecycle",
        "cli",
        "__main__",
    ],
}


def part(path: Path) -> str:
    """The folder of its room that a file is in, or the file itself at the top."""
    return path.relative_to(PACKAGES[room(path)]).with_suffix("").parts[0]


@every_file
def test_imports_run_one_way(path: Path) -> None:
    tops = {name.split(".")[0] for name in imported(path)}
    forbidden = {
        "charrepl": {"charrepl_train", "charrepl_daemon", *HEAVY},
        "charrepl_train": {"charrepl_daemon"},
        "charrepl_daemon": set(),
    }[room(path)]
    assert not tops & forbidden


@every_file
def test_folders_import_from_those_below_them(path: Path) -> None:
    if part(path) == "__init__":
        return
    order = ORDER[room(path)]
    parts = {name.split(".")[1] for name in imported(path) if name.startswith(f"{room(path)}.")}
    above = order[order.index(part(path)) + 1 :]
    assert not parts & set(above)


@pytest.mark.parametrize("package", PACKAGES.values(), ids=list(PACKAGES))
def test_every_folder_has_its_place_and_says_what_is_in_it(package: Path) -> None:
    folders = {file.parent for file in package.rglob("*.py")} - {package}
    assert {part(folder) for folder in folders} | {
        file.stem for file in package.glob("*.py") if file.stem != "__init__"
    } == set(ORDER[package.name])
    for folder in folders:
        documentation = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert documentation and documentation.count(".") >= 2, folder


def test_no_files_import_one_another_in_a_circle() -> None:
    names = {module_name(path): path for path in FILES}
    imports = {
        name: {found for one in imported(path) for found in (one, one.rpartition(".")[0]) if found in names}
        - {name}
        for name, path in names.items()
    }
    # A package is imported with each of its modules: only what it says itself counts.
    packages = {name for name, path in names.items() if path.stem == "__init__"}
    graph = {name: found - packages for name, found in imports.items()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, with the circle


def module_name(path: Path) -> str:
    inside = path.relative_to(PACKAGES[room(path)]).with_suffix("").parts
    return ".".join([room(path), *(part for part in inside if part != "__init__")])


@every_file
def test_the_daemon_shares_the_model_with_training_and_nothing_else(path: Path) -> None:
    if room(path) == "charrepl_daemon":
        used = {name.partition(".")[2] for name in imported(path) if name.startswith("charrepl_train.")}
        assert not [name for name in used if not any(f"{name}.".startswith(f"{one}.") for one in SHARED)]


@every_file
def test_one_file_knows_orbax(path: Path) -> None:
    if any(name.split(".")[0] == "orbax" for name in imported(path)):
        assert path == PACKAGES["charrepl_train"] / "model_directory" / "checkpoint.py"


@every_file
def test_nothing_runs_what_it_reads(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {"pickle", "dill", "cloudpickle", "marshal"}
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"exec", "eval"}


@every_file
def test_what_is_printed_passes_where_it_is_made_safe(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not {ast.unparse(call) for call in calls} & {"click.echo", "click.secho", "print"}


def undocumented(tree: ast.Module) -> Iterator[str]:
    """The names of public things without a docstring; a method of a subclass may have its base's."""
    if not ast.get_docstring(tree):
        yield "the module"
    for owner in ast.walk(tree):
        if isinstance(owner, ast.ClassDef) and (owner.name.startswith("_") or owner.bases):
            continue
        if isinstance(owner, ast.Module | ast.ClassDef):
            for node in owner.body:
                named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                if named and not node.name.startswith("_") and not ast.get_docstring(node):
                    yield f"{node.name}, line {node.lineno}"


@every_file
def test_what_is_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(undocumented(tree)) == []


@every_file
def test_a_file_stays_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("package", PACKAGES.values(), ids=list(PACKAGES))
def test_the_types_are_published(package: Path) -> None:
    assert (package / "py.typed").is_file()


def test_the_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert pinned
    assert [line for line in pinned if not re.fullmatch(r"[\w.-]+==[\w.+!]+( ; .+)?", line)] == []

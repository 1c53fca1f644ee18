"""The layout: data flows down the list of folders, no module imports up or in a circle, and none is hidden in a function."""

import ast
from pathlib import Path

import pytest

import dcmq
from dcmq.core import code

LAYERS = (
    "core",
    "codes",
    "config",
    "data",
    "networks",
    "teachers",
    "training",
    "retrieval",
    "methods",
    "experiments",
    "search",
    "sharing",
    "reporting",
    "explore",
    "studies",
    "cli",
)
PACKAGE = Path(dcmq.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400  # lines of a module; most have fewer than 250


def module_of(file):
    parts = ["dcmq", *file.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts).removesuffix(".__init__")


MODULES = [module_of(file) for file in FILES if file.parent != PACKAGE or file.stem == "config"]


def layer(module):
    return LAYERS.index(module.split(".")[1])


def test_the_docstring_of_the_package_lists_the_folders_in_order():
    places = [dcmq.__doc__.index(f"\n{name} ") for name in LAYERS]
    assert places == sorted(places)


def test_there_are_two_loose_modules_and_a_folder_for_each_layer():
    assert {file.stem for file in PACKAGE.glob("*.py")} == {"__init__", "__main__", "config"}
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert folders == set(LAYERS) - {"config"}
    tests = {
        path.name for path in (PACKAGE.parent / "tests").iterdir() if path.is_dir() and list(path.glob("test_*.py"))
    }
    assert folders <= tests, "tests mirror the folders"


@pytest.mark.parametrize("module", MODULES)
def test_no_import_runs_up(module):
    assert [name for name in code.imported(module) if layer(name) > layer(module)] == []


def test_no_imports_run_in_a_circle():
    state = {}

    def visit(module, path):
        assert state.get(module) != "open", " -> ".join([*path, module])
        if module not in state:
            state[module] = "open"
            for name in sorted(code.imported(module)):
                visit(name, [*path, module])
            state[module] = "done"

    for module in MODULES:
        visit(module, [])


@pytest.mark.parametrize("file", [f for f in FILES if "cli" not in f.parts], ids=module_of)
def test_no_import_of_the_package_is_hidden_in_a_function(file):
    """Commands import what they need when they run, so that --help is quick; nothing else does."""
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    hidden = [
        ast.unparse(node)
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and "dcmq" in ast.unparse(node).split()[1]
    ]
    assert hidden == []


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("**/__init__.py")), ids=module_of)
def test_every_folder_says_what_is_in_it_and_its_init_holds_nothing_else(file):
    tree = ast.parse(file.read_text())
    assert len(ast.get_docstring(tree)) > 20
    rest = [node for node in tree.body[1:] if file.parent != PACKAGE or "__version__" not in ast.unparse(node)]
    assert rest == []


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_modules_are_of_one_idea(file):
    assert len(file.read_text().splitlines()) <= LONGEST


BEGINNINGS = ("Of ", "What ", "Whether ", "How ", "From ", "By ", "Told ")


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_docstrings_begin_with_what_is_returned_or_done(file):
    tree = ast.parse(file.read_text())
    wrong, missing = [], []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        text = ast.get_docstring(node) or ""
        public = not node.name.startswith("_")
        if text.startswith(BEGINNINGS) or (text.startswith("See :") and len(text.split(".")[1].strip()) < 10):
            wrong.append(f"{node.name}: {text.splitlines()[0]}")
        if public and not text and node in tree.body:
            missing.append(node.name)
    assert wrong == [] and missing == []

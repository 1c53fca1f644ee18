"""Fingerprints of code see what it does, and not how it reads."""

import ast
import random

import pytest

from dcmq.core import code
from dcmq.methods.registry import METHODS

ROOTS = sorted({method.origin.__module__ for method in METHODS.values()} | {"dcmq.retrieval.evaluate"})
MODULES = sorted({module for root in ROOTS for module in code.closure(root)})
every_module = pytest.mark.parametrize("module", MODULES)


def source(module):
    return code.source_file(module).read_text()


def digests(text):
    """What counts of a module: the digests of its statements, in any order."""
    return sorted(filter(None, map(code.digest_of, ast.parse(text).body)))


def literals(text):
    """Numbers and texts that decide something, found without the code under test: not docstrings, annotations or prose."""
    tree = ast.parse(text)
    unseen = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Raise | ast.JoinedStr):  # docstrings, messages, and parts of f-strings
            unseen |= {id(inner) for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
        for field in ("annotation", "returns"):
            if annotation := getattr(node, field, None):
                unseen |= {id(inner) for inner in ast.walk(annotation)}
        if isinstance(node, ast.keyword) and node.arg in code._PROSE:
            unseen |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn":
            unseen |= {id(inner) for inner in ast.walk(node)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in unseen]
    return [node for node in constants if type(node.value) in (int, float, str, bool)]


def replaced(text, node, new):
    lines = text.encode().splitlines(keepends=True)
    assert node.lineno == node.end_lineno or isinstance(node.value, str)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    stop = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    return (text.encode()[:start] + new.encode() + text.encode()[stop:]).decode()


@every_module
def test_a_changed_literal_changes_the_fingerprint(module):
    text = source(module)
    before = digests(text)
    nodes = literals(text)
    random.Random(0).shuffle(nodes)
    for node in nodes[:12]:
        new = repr(
            node.value + "x"
            if isinstance(node.value, str)
            else not node.value
            if node.value in (0, 1)
            else node.value + 1
        )
        assert digests(replaced(text, node, new)) != before, f"{module}:{node.lineno} {node.value!r}"


@every_module
def test_prose_and_formatting_change_nothing(module):
    text = source(module)
    before = digests(text)
    tree = ast.parse(text)
    assert digests(text + "\n# a comment\n") == before
    assert digests(ast.unparse(tree)) == before  # other quotes, brackets and line breaks, and no comment
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            node.body[0].value.value = "Another docstring."
        if isinstance(node, ast.FunctionDef):
            node.returns = ast.Name("Another")
            for argument in node.args.args:
                argument.annotation = ast.Name("Another")
    assert digests(ast.unparse(ast.fix_missing_locations(tree))) == before


def test_the_closure_holds_what_is_imported_and_what_that_imports():
    closure = code.closure("dcmq.methods.dcmq.method")
    assert {"dcmq.methods.dcmq.targets", "dcmq.training.loop", "dcmq.codes.assign", "dcmq.data.resize"} <= set(closure)
    assert not any(module.startswith(("dcmq.experiments", "dcmq.reporting", "dcmq.studies")) for module in closure)
    assert "dcmq.methods.dcmh" not in closure and "dcmq.methods.dcmh" in code.closure("dcmq.methods.dcmh")


def test_every_module_of_the_closure_is_in_the_fingerprint(monkeypatch):
    root, original = "dcmq.methods.dcmq.method", code.tree
    before = code.fingerprint.__wrapped__(root)
    for module in code.closure(root):

        def changed(name, module=module):
            if name != module:
                return original(name)
            return ast.parse(source(name) + "\n_ANOTHER = 1\n")

        monkeypatch.setattr(code, "tree", changed)
        assert code.fingerprint.__wrapped__(root) != before, module
        monkeypatch.setattr(code, "tree", original)


def test_a_renamed_module_and_a_moved_function_keep_the_fingerprint(monkeypatch, tmp_path):
    uncached = code.closure.__wrapped__

    def fingerprint(**modules):
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setattr(code, "source_file", lambda m: f if (f := tmp_path / f"{m[5:]}.py").is_file() else None)
        monkeypatch.setattr(code, "tree", lambda m: ast.parse(code.source_file(m).read_text()))
        monkeypatch.setattr(code, "closure", uncached)
        found = code.fingerprint.__wrapped__("dcmq.root")
        for name in modules:
            (tmp_path / f"{name}.py").unlink()
        return found

    use, first, second = "def use():\n    return f() + g()\n", "def f():\n    return 1\n", "def g():\n    return 2\n"
    before = fingerprint(root="from dcmq.a import f, g\n" + use, a=first + second)
    assert fingerprint(root="from dcmq.b import f, g\n" + use, b=first + second) == before
    assert fingerprint(root="from dcmq.a import f\nfrom dcmq.b import g\n" + use, a=first, b=second) == before
    assert fingerprint(root="from dcmq.a import f, g\n" + use, a=first + second.replace("2", "3")) != before


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("raise ValueError('too long')", "raise ValueError('longer than it may be')", True),
        ("raise ValueError(limit)", "raise ValueError(other)", False),
        ("raise ValueError(f'at most {limit:.1f}')", "raise ValueError(f'no more than {limit:.1f}')", True),
        ("x = Field(3, description='K, inferred')", "x = Field(3, description='codewords, inferred')", True),
        ("x = Field(3, description='K')", "x = Field(4, description='K')", False),
        ("warnings.warn('left out')", "warnings.warn('not read')", True),
        ("print('left out')", "print('not read')", False),
        ("x: int = 3", "x: float = 3", True),
        ("x = y.mean(0)", "x = y.mean(1)", False),
        ("def f(a): return a", "def g(a): return a", False),
        ("x = 1_000", "x = 1000", True),
    ],
)
def test_what_counts_and_what_does_not(one, other, same):
    assert (digests(one) == digests(other)) == same


def test_fingerprints_do_not_depend_on_the_order_of_what_is_asked():
    assert code.fingerprint(*ROOTS) == code.fingerprint(*reversed(ROOTS)) and len(code.fingerprint(*ROOTS)) == 16

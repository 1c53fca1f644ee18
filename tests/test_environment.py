"""pyproject.toml, environment.yml and CONTRIBUTING.md name the same packages."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"torch": "pytorch", "duckdb": "python-duckdb"}  # where conda-forge's name is not PyPI's


def pip_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in project["dependencies"] + extras]


def conda_entries() -> tuple[list[str], list[str]]:
    """Lines of the conda part and of the pip part."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip_part = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
    return [entry for entry in entries if isinstance(entry, str)], pip_part


def test_conda_and_pip_ask_for_the_same_versions():
    conda, pip_part = conda_entries()
    asked = {}
    for line in [*conda, *(line for line in pip_part if not line.startswith("-"))]:
        requirement = Requirement(line)
        asked[canonicalize_name(requirement.name)] = requirement.specifier
    python = asked.pop("python")
    asked.pop("pip")
    wanted = {canonicalize_name(CONDA_NAMES.get(r.name, r.name)): r.specifier for r in pip_requirements()}
    assert asked == wanted
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert str(python) == project["requires-python"]


def test_the_package_itself_is_installed_by_pip():
    assert "--editable ." in conda_entries()[1]


def test_lists_are_sorted_and_without_doubles():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for lines in [project["dependencies"], *project["optional-dependencies"].values()]:
        names = [canonicalize_name(Requirement(line).name) for line in lines]
        assert names == sorted(set(names))


@pytest.mark.parametrize("requirement", pip_requirements(), ids=lambda r: r.name)
def test_contributing_says_why(requirement):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert re.search(rf"`{re.escape(requirement.name)}`", text), "CONTRIBUTING.md does not say why it is there"


def test_imports_of_the_package_are_declared():
    """Each third-party module that dcmq imports belongs to a declared dependency."""
    modules = {
        "sklearn": "scikit-learn",
        "PIL": "pillow",
        "open_clip": "open-clip-torch",
        "yaml": "pyyaml",
        "faiss": "faiss-cpu",
        "lance": "pylance",
        "umap": "umap-learn",
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = (
        project["dependencies"]
        + extras["blip"]
        + extras["cluster"]
        + extras["faiss"]
        + extras["lance"]
        + extras["onnx"]
        + extras["serve"]
        + extras["umap"]
    )
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    missing = {}
    for file in sorted((ROOT / "dcmq").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in (name.split(".")[0] for name in names):
                package = canonicalize_name(modules.get(name, name))
                if name != "dcmq" and name not in sys.stdlib_module_names and package not in declared:
                    missing.setdefault(package, []).append(file.name)
    assert not missing

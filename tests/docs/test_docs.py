"""The pages for people: their size, their links, the commands and files they name, and their words."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from papermill.cli import _resolve_type as papermill_value

import dcmq
from dcmq.cli.app import app
from dcmq.experiments.parameters import defaults, validated
from dcmq.studies.registry import STUDIES, reading_order
from scripts import fill_docs

ROOT = Path(__file__).parents[2]
PAGES = [*fill_docs.PAGES, ROOT / "CONTRIBUTING.md", ROOT / "notebooks" / "README.md"]
OTHERS = [ROOT / "CHANGELOG.md", *sorted((ROOT / "dcmq").rglob("*.md"))]  # written by hand too
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def read(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language=""):
    """The fenced blocks of a page, of one language; the empty one is that of shell commands."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", read(page), re.M | re.S)  # all, or an end is taken for a beginning
    return [text for name, text in fences if name == language]


def command_lines(program):
    """(page, words) of each line that calls ``program``."""
    for page in PAGES:
        for line in "".join(blocks(page)).replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == program:
                yield pytest.param(words[1:], id=f"{page.relative_to(ROOT)}: {' '.join(words[:4])}")


def without_tables(page):
    """The text of a page without the tables that come from reports and registries."""
    return fill_docs.TABLE.sub("", read(page))


def test_readme_is_a_door():
    assert len(read(ROOT / "README.md").split()) < 1000


def test_every_page_is_reached_from_readme_and_from_the_index():
    names = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    for start, folder in ((ROOT / "README.md", "docs/"), (ROOT / "docs" / "README.md", "")):
        assert {name for name in names if f"]({folder}{name})" in read(start)} == names


def test_the_glossary_is_short_and_has_the_words_that_need_it():
    entries = re.findall(r"^- \*\*(.+?)\*\*: ", read(ROOT / "docs" / "GLOSSARY.md"), re.M)
    assert 15 <= len(entries) <= 25 and len(set(entries)) == len(entries)
    needed = "profile study variant run record control unseen continuous hits prepared collection".split()
    assert set(needed) <= set(entries)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", read(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pages
def test_links_into_reports_name_files_that_show_something(page):
    for target in re.findall(r"\]\(([^)\s]*reports/[^)\s]+)\)", read(page)):
        path = page.parent / target
        assert path.is_dir() or path.suffix in (".md", ".png", ".ipynb", ".json"), target


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_and_files_that_are_named_exist(page):
    text = without_tables(page) if page in PAGES else read(page)
    text = "\n".join(line for line in text.splitlines() if page.name != "CHANGELOG.md" or not line.startswith("|"))
    for path in re.findall(r"`((?:dcmq|tests|scripts|benchmarks|notebooks|reports|docs)/[\w./-]*)`", text):
        if "NAME" in path:
            continue
        assert (ROOT / path).exists(), path
    for name in re.findall(r"\bdcmq(?:\.[a-z_]\w*)+", text):
        assert is_known(name.split(".")[1:]), name
    assert "python -m dcmq." not in text


def is_known(parts):
    """Whether dotted ``parts`` are a module of the package, or a name that stands in one."""
    path = Path(dcmq.__file__).parent
    for i, part in enumerate(parts):
        if (path / part).is_dir():
            path = path / part
        elif (path / f"{part}.py").is_file():
            rest = parts[i + 1 :]
            return not rest or rest[0] in (path / f"{part}.py").read_text()
        else:
            return False
    return True


@pytest.mark.parametrize("words", command_lines("dcmq"))
def test_commands_can_be_called_so(words):
    command, words = typer.main.get_command(app), list(words)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)  # raises where an option or an argument is not known


@pages
def test_commands_that_are_named_in_a_sentence_exist(page):
    groups = typer.main.get_command(app).commands
    for words in re.findall(r"`dcmq ([a-z][a-z ]*)", read(page)):
        group, *rest = words.split()
        assert group in groups and (not rest or rest[0] in groups[group].commands), words


@pytest.mark.parametrize("words", command_lines("papermill"))
def test_papermill_lines_name_a_notebook_and_what_it_may_be_asked(words):
    notebook = ROOT / next(word for word in words if word.endswith(".ipynb"))
    given = {words[i + 1]: papermill_value(words[i + 2]) for i, word in enumerate(words) if word == "-p"}
    study = validated(STUDIES[notebook.stem], defaults(notebook) | given)
    study.setup()  # refuses data_options that make no sense
    if hasattr(study, "plan"):
        assert study.plan()


def test_the_notebooks_are_listed_in_reading_order_with_what_they_may_be_asked():
    rows = re.findall(
        r"^\| (\d+) \| (.+?) \| (.+?) \| \[(\w+)\]\(\w+\.ipynb\) \| (.+?) \| `(.*)` \|$", read(PAGES[-1]), re.M
    )
    assert [(int(number), name) for number, _, _, name, _, _ in rows] == list(enumerate(reading_order(), 1))
    for _, _, item, name, _, words in rows:
        parameters = STUDIES[name]
        assert item in (parameters.item, "a first contact", "beyond")
        dash, parameter, value = shlex.split(words)
        assert dash == "-p"
        notebook = ROOT / "notebooks" / f"{name}.ipynb"
        validated(parameters, defaults(notebook) | {parameter: papermill_value(value)})


@pages
def test_make_has_the_targets_that_are_named(page):
    targets = set(re.findall(r"^([a-z-]+):.*?##", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^(?: {4})?|`|; )make ([a-z][a-z-]+)", read(page), re.M))
    assert named <= targets, named - targets


@pages
def test_words_are_those_of_the_field(page):
    """One word for one thing, in torch's spelling."""
    text = without_tables(page).replace("~/Pictures", "").lower()
    for word in ("picture", "quantis", "normalis", "optimis", "colour", "licence", "centre"):
        assert word not in text, word


def test_the_table_of_folders_is_that_of_the_package():
    text = read(ROOT / "docs" / "architecture.md")
    folders = re.findall(r"^\| `(\w+)(?:\.py)?` \|", text, re.M)
    assert folders == sorted(folders, key=lambda name: dcmq.__doc__.index(f"\n{name} "))
    package = Path(dcmq.__file__).parent
    assert {*folders} == {path.parent.name for path in package.glob("*/__init__.py")} | {"config"}


def test_every_decorator_that_registers_something_is_named():
    sources = "".join(file.read_text() for file in Path(dcmq.__file__).parent.rglob("*.py"))
    defined = set(re.findall(r"^def (register_\w+)\(", sources, re.M))
    named = set(re.findall(r"register_\w+", read(ROOT / "docs" / "architecture.md")))
    assert named == defined

"""The command ``dcmq`` as a whole: its help, what it imports, its exit codes, and errors of one line."""

import os
import shlex
import signal
import subprocess
import sys
from functools import partial

import pytest
import typer
from commands import dcmq
from records import write_run

import dcmq as package
from dcmq.cli.app import app
from dcmq.core.errors import DcmqError

SLOW = {"torch", "numpy", "pandas", "matplotlib", "nbformat", "open_clip"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "reports"))
    return tmp_path


def commands(group=None, path=()):
    """(path of names, command) of ``dcmq`` and of everything below it."""
    group = group or typer.main.get_command(app)
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ALL = dict(commands())
LEAVES = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


def words(path):
    return " ".join(path) or "dcmq"


def in_a_process(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=os.environ | {"COLUMNS": "200"}
    )


def is_one_line(text):
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


def test_there_are_the_commands_that_the_documents_name():
    assert {" ".join(path) for path in LEAVES} == {
        *("data prepare", "data verify", "data info", "teachers list", "teachers check"),
        *("search build", "search query", "search serve", "search export", "search info"),
        *("reports run", "reports page", "reports where"),
        *("runs list", "runs show", "runs compare", "runs clean"),
        *("push", "export"),
    }


@pytest.mark.parametrize("path", ALL, ids=words)
def test_every_help_explains_itself(path):
    result = dcmq(*path, "--help")
    assert result.exit_code == 0 and not result.stderr and "Usage: dcmq" in result.stdout
    if path in LEAVES:
        assert f"dcmq {' '.join(path)}" in LEAVES[path].epilog.partition("Examples:")[2]


@pytest.mark.parametrize("path", LEAVES, ids=words)
def test_every_example_can_be_called_so(path):
    command = LEAVES[path]
    lines = [line.strip() for line in command.epilog.splitlines() if line.startswith("  dcmq ")]
    for line in lines:
        words = shlex.split(line.partition(" | ")[0], comments=True)
        assert words[: len(path) + 1] == ["dcmq", *path]
        command.make_context(path[-1], words[len(path) + 1 :])  # raises where something is not known


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path in ALL if len(path) < 2] + [("runs", "list"), ("data", "prepare")], ids=words
)
def test_a_help_imports_nothing_slow(path):
    result = in_a_process("-X", "importtime", "-m", "dcmq", *path, "--help")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert result.returncode == 0 and "typer" in imported and not imported & SLOW


def test_a_list_of_runs_imports_neither_torch_nor_numpy():
    result = in_a_process("-X", "importtime", "-m", "dcmq", "runs", "list")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert result.returncode == 0 and not imported & SLOW


def test_version_and_completion():
    assert dcmq("--version").stdout == f"dcmq {package.__version__}\n"
    options = {option for parameter in ALL[()].params for option in parameter.opts}
    assert {"--install-completion", "--show-completion"} <= options


@pytest.mark.slow
def test_a_shell_completes_keys_and_notebooks(home):
    write_run(home, "a1" + "0" * 14)
    (home / "notebooks").mkdir()
    (home / "notebooks" / "cost.ipynb").write_text("")
    for line, expected in (
        ("dcmq runs show a", "a1" + "0" * 14),
        ("dcmq runs compare a1 npc", "npc-64bits-seed0-a1" + "0" * 14),
        ("dcmq reports where c", "cost"),
        ("dcmq data prepare --expect of", "official"),
    ):
        complete = {"_DCMQ_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        result = subprocess.run(
            [sys.executable, "-m", "dcmq"], capture_output=True, text=True, timeout=60, env=os.environ | complete
        )
        assert expected in result.stdout.split(), (line, result)


def test_without_a_command_the_help_is_shown():
    for path in ((), ("runs",)):
        result = dcmq(*path)
        assert result.exit_code == 2 and "Usage: dcmq" in result.stdout and not result.stderr


def wrong_calls():
    """A call of each command with an option that it does not have, and with a wrong value for each that has a type."""
    values = {int: "many"}
    for path, command in LEAVES.items():
        needed = []
        for parameter in command.params:
            if parameter.required:
                needed += ["x"] if parameter.param_type_name == "argument" else [parameter.opts[0], "x"]
        yield pytest.param([*path, *needed, "--nonsense"], id=f"{words(path)} --nonsense")
        if needed:
            yield pytest.param([*path], id=f"{words(path)} without arguments")
        for parameter in command.params:
            kind = parameter.type_descriptor
            wrong = "perhaps" if kind.is_choice else "-1" if kind.is_ranged else values.get(kind.annotation)
            if wrong and parameter.param_type_name == "option" and not parameter.is_flag:
                call = [*path, *needed, parameter.opts[0], wrong]
                yield pytest.param(call, id=" ".join([words(path), parameter.opts[0], wrong]))
    for call in (
        "nonsense",
        "runs nonsense",
        "--nonsense",
        "runs list --sort nonsense",
        "runs list a",
        "runs compare a b c",
    ):
        yield pytest.param(call.split(), id=call)
    for call in ("search build c", "search query c", "search query c --text a --image b"):
        yield pytest.param(call.split(), id=call)


@pytest.mark.parametrize("call", wrong_calls())
def test_a_wrong_call_is_one_line_and_2(call):
    result = dcmq(*call)
    assert result.exit_code == 2 and not result.stdout and is_one_line(result.stderr), result.output
    assert result.stderr.rstrip().endswith("--help")


def test_a_name_that_is_nearly_right_is_named():
    assert "Did you mean 'list'?" in dcmq("runs", "lst").stderr
    assert "did you mean seconds?" in dcmq("runs", "list", "--sort", "second").stderr
    assert "--reverse" in dcmq("runs", "list", "--revers").stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DcmqError("what is wrong\n where"), 1, "what is wrong where"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: no permission; change that, or choose another folder"),
        (FileNotFoundError(2, "No such file or directory", "/x"), 1, "/x: No such file or directory"),
        (
            OSError(28, "No space left on device"),
            1,
            "the disk is full: no space left; free some, or choose another disk",
        ),
        (KeyboardInterrupt(), 130, "interrupted: run the same command again to go on"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_a_user_can_cause_is_one_line(monkeypatch, error, code, line):
    def failing():
        raise error

    monkeypatch.setattr("dcmq.experiments.run_list.list_runs", failing)
    result = dcmq("runs", "list")
    assert (result.exit_code, result.stderr, result.stdout) == (code, f"{line}\n", "")


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("of a network")], ids=repr)
def test_a_mistake_of_ours_keeps_its_trace(monkeypatch, error):
    def failing():
        raise error

    monkeypatch.setattr("dcmq.experiments.run_list.list_runs", failing)
    with pytest.raises(type(error)):
        dcmq("runs", "list")


@pytest.mark.slow
def test_a_warning_is_a_note_of_one_line():
    code = (
        "import warnings, dcmq.experiments.run_list as r; from dcmq.cli.app import app\n"
        "r.list_runs = lambda: (warnings.warn('careful'), ([], []))[1]; app(['runs', 'list'])"
    )
    result = in_a_process("-c", code)
    assert result.returncode == 0 and result.stderr.splitlines()[0] == "note         careful", result


@pytest.mark.slow
def test_errors_are_one_line_in_a_process_too():
    for call, code in ((["runs", "show", "nobody"], 1), (["runs", "show"], 2), (["reports", "where", "--x"], 2)):
        result = in_a_process("-m", "dcmq", *call)
        assert result.returncode == code and is_one_line(result.stderr) and not result.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")
@pytest.mark.parametrize("call", ["runs list", "runs list --json", "runs show a", "--help"])
def test_a_reader_that_is_gone_is_no_error(home, call):
    for n in range(300):
        write_run(home, f"{n:03}{'b' * 13}")
    write_run(home, "a1" + "0" * 14)
    command = [sys.executable, "-m", "dcmq", *call.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 1


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")
def test_ctrl_c_is_one_line_and_130(home):
    folder = home / "runs" / ("npc-64bits-seed0-a1" + "0" * 14)
    folder.mkdir(parents=True)
    os.mkfifo(folder / "record.json")  # whoever reads it waits
    command = [sys.executable, "-m", "dcmq", "runs", "show", str(folder)]
    listening = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=listening) as process:
        writer = os.open(folder / "record.json", os.O_WRONLY)  # returns when the command reads
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == "interrupted: run the same command again to go on\n"
        os.close(writer)

"""The gate to the program: whatever is typed, a command ends well or in one line, and never in a traceback.

Calls are made up of each command's own options and of values that people and programs get wrong. No command here trains,
serves, fetches or runs a notebook to its end: those that would are given a notebook, a data set or an address that is none.
"""

import os
import shutil

import numpy as np
import pytest
import typer
from commands import dcmq
from finished_run import write_finished_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from records import write_run

from dcmq.cli.app import app

LONG = "a" * 5000
NUMBERS = ["0", "-1", "1", "3", "1e3", "nan", "inf", "-inf", "1.5", "9" * 40, "", " ", "0x10", "١"]
WORDS = ["", " ", "-", "--", "a", "red boat", "größe", "हरा", "\x1b[31m", "a\nb", "a\x00b", "\udce9", LONG, "*", "[", "%s {x}", "=", "tau=",
         "tau=0.1", "~", "~nobody/x", "hub:", "hub:a", "hub:a/b/c", "../..", "npc", "npc-32", "auto", "exact", "lists", "chosen",
         "images", "texts", "npy", "parquet", "folder", "scenes", "nuswide:nothing", "precomputed:", "open_clip:", "quickstarts"]  # fmt: skip
PLACES = ["{c}", "{c}/images.safetensors", "{run}", "{p}", "{p}/a.png", "{p}/broken.jpg", "{p}/caf\udce9.png", "{p}/none", "{p}/none/x.png",
          "{p}/texts.txt", "{p}/binary.txt", "{p}/empty", "{p}/x.tar", "{p}/x.parquet", "{p}/*.tar", "{out}", "{out}.parquet", "{out}.png",
          "{out}/" + LONG, "{p}/a.png/x", "/dev/null", "/", "", "."]  # fmt: skip
VALUES = NUMBERS + WORDS + PLACES
LIKELY = {  # that get a call beyond its first check, often enough
    "collection": ["{c}"], "run": ["{run}", "npc-32", "{c}"], "images": ["{p}"], "key": ["a1", "npc"], "a": ["a1"], "b": ["a1"],
    "text": ["red boat"], "image": ["{p}/a.png"], "sheet": ["{out}.png"], "out": ["{out}"], "folder": ["{out}"], "target": ["{out}"],
}  # fmt: skip


def leaves(group=None, path=()):
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves())


@st.composite
def calls(draw, path):
    """A call of a command, with all that it needs or a little less, and some of its options."""
    call = list(path)
    for parameter in COMMANDS[path].params:
        likely = LIKELY.get(parameter.name, [])
        value = st.sampled_from(likely) | st.sampled_from(VALUES) if likely else st.sampled_from(VALUES)
        if parameter.param_type_name == "argument":
            if draw(st.integers(0, 9)):
                call.append(draw(value))
        elif parameter.name != "help" and draw(st.integers(0, 2)) == 0:
            call.append(draw(st.sampled_from(parameter.opts)))
            if not parameter.is_flag:
                call.append(draw(value))
    return call


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A home with a run, a collection, and images and texts of all kinds."""
    root = tmp_path_factory.mktemp("gate")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DCMQ_HOME", str(root / "home"))
        patched.setenv("DCMQ_REPORTS", str(root / "home" / "reports"))
        for name in ("DCMQ_SCHEDULER", "DCMQ_PUBLISHED"):
            patched.delenv(name, raising=False)
        patched.setenv("HF_HUB_OFFLINE", "1")
        patched.chdir(root)
        images = root / "images"
        (images / "empty").mkdir(parents=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)).save(images / "a.png")
        shutil.copyfile(images / "a.png", os.fsencode(images) + b"/caf\xe9.png")
        for name, content in (
            ("broken.jpg", b"no"),
            ("texts.txt", b"red sea\n"),
            ("binary.txt", b"\xff"),
            ("x.tar", b"x"),
        ):
            (images / name).write_bytes(content)
        (images / "x.parquet").write_bytes(b"PAR1")
        run = write_finished_run(root / "home")
        write_run(root / "home", "a1" + "0" * 14)
        assert dcmq("search", "build", root / "c", "--run", run, "--images", images).exit_code == 0
        yield {"c": root / "c", "run": run, "p": images, "out": root / "out", "root": root}


def calm(call):
    """The call, but for what it would do for long or without end."""
    if call[:2] == ["search", "serve"]:
        return [*call, "--port", "0", "--host", "192.0.2.1"]  # of nobody, so that it cannot listen there
    if call[:2] == ["reports", "run"]:
        return [*call, "no such notebook"]
    return call


def ends_well_or_in_one_line(call, places):
    words = [str(word).format(**places) if word != "%s {x}" else word for word in call]
    result = dcmq(*words)
    if result.exit_code:
        lines = [line for line in result.stderr.split("\n") if line and not line.startswith("note  ")]
        assert result.exit_code in (1, 2) and "Traceback" not in result.stderr, (words, result.stderr)
        assert len(lines) == 1 and len(lines[0]) < 8000, (words, result.stderr)
    assert not [c for c in result.stdout + result.stderr if c in "\x1b\x9b"], words
    for left in places["root"].glob("out*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_any_call_ends_well_or_in_one_line(path, places):
    @settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls(path))
    def check(call):
        ends_well_or_in_one_line(calm(call), places)

    check()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "value", [LONG, "a\x00b", "\udce9", "", "/dev/null/x"], ids=["long", "nul", "no UTF-8", "empty", "no folder"]
)
def test_a_value_that_no_command_can_use_is_one_line_at_each_place(path, value, places):
    needed = []
    for parameter in COMMANDS[path].params:
        if parameter.param_type_name == "argument":
            needed.append(value)
    ends_well_or_in_one_line(calm([*path, *needed]), places)
    for parameter in COMMANDS[path].params:
        if parameter.param_type_name == "option" and not parameter.is_flag:
            likely = [LIKELY.get(p.name, ["x"])[0] for p in COMMANDS[path].params if p.param_type_name == "argument"]
            ends_well_or_in_one_line(calm([*path, *likely, parameter.opts[0], value]), places)

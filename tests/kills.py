"""Programs that are killed by SIGKILL at moments drawn over their whole duration, and what they leave.

``DCMQ_KILLS`` says how often a test kills, or by which seeds, as ``20:30``. Each kill is printed with the phase that it fell in: ``pytest -rP`` shows them.
"""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from dcmq.core.storage import load_tensors

TESTS = Path(__file__).parent
MANY = pytest.mark.skipif("DCMQ_KILLS" not in os.environ, reason="takes long: only where $DCMQ_KILLS says how many")
EVERYONE, MAIN = "everyone", "main"  # whom to kill: all of the program's group, or it alone
WORKER, KERNEL = "spawn_main", "ipykernel_launcher"  # one of those whose command holds that word
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # files that are being written
_HANGS, _LINGERS = 240, 20  # seconds after which a program hangs; until those that it started must be gone
_MARK = "DCMQ_TEST_MARK"
BEGUN = "begun"  # file of a program that begins with what is not under test
# What differs between two records of one result: when and from which commit they were made, how long it took, when a file was
# written, and the checksum of all that.
_TIMES = {"training_seconds", "seconds", "finished", "git", "sha256", "file", "code"}
_SECONDS = re.compile(r'"id": "\w+"|\d[\d.,]* (s|min|ms)\b|git \w+\+?|\d{4}-\d\d-\d\dT[\d:+]+')


def seeds(few: int) -> range:
    """The seeds of a test's kills, ``few`` where nobody asks for more: more of them find what is rare."""
    first, _, last = os.environ.get("DCMQ_KILLS", str(few)).rpartition(":")
    return range(int(first or 0), int(last))


@dataclass(frozen=True)
class Ended:
    """The exit code of a program, what it printed, how long it took, and after how many seconds it had written the file ``BEGUN``, 0
    without one."""

    code: int
    out: str
    err: str
    seconds: float
    begun: float


class Program:
    """A program under way, in a session of its own; nobody that it started may outlive it by more than some seconds.

    Args:
        command: words after ``python``.
        folder: where it keeps all it writes, its ``DCMQ_HOME``.
        variables: further ones of its environment.
    """

    def __init__(self, command: Sequence[object], folder: Path, variables: Mapping[str, str]):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._mark, self.start = folder, uuid.uuid4().hex, time.time()
        self._texts = [folder.parent / f"{folder.name}.{name}-{self._mark}" for name in ("out", "err")]
        path = f"{os.environ.get('PYTHONPATH', '')}:{TESTS.parent}:{TESTS}"
        places = {"DCMQ_HOME": str(folder), "DCMQ_REPORTS": str(folder / "reports"), "DCMQ_PUBLISHED": ""}
        environment = os.environ | places | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", _MARK: self._mark} | variables
        with self._texts[0].open("w") as out, self._texts[1].open("w") as err:
            command = [sys.executable, *map(str, command)]
            self._process = subprocess.Popen(
                command, stdout=out, stderr=err, env=environment, cwd=folder, start_new_session=True
            )

    def is_running(self) -> bool:
        return self._process.poll() is None

    def seconds(self) -> float:
        return time.time() - self.start

    def processes(self) -> list[psutil.Process]:
        """It and all that it started, whoever their parents are now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def kill(self, whom: str, chance: random.Random) -> bool:
        """Kill ``EVERYONE`` in its group, it alone, or one of those whose command holds the word ``whom``. False: there is none."""
        if whom == EVERYONE:
            os.killpg(self._process.pid, signal.SIGKILL)
        elif whom == MAIN:
            self._process.kill()
        else:
            found = [process for process in self.processes() if _runs(process, whom)]
            if not found:
                return False
            try:
                chance.choice(found).kill()
            except psutil.NoSuchProcess:
                return False
        return True

    def ended(self) -> Ended:
        """Its end. Raises AssertionError where it, or anybody that it started, hangs."""
        hangs = f"hangs after {_HANGS} s"
        with suppress(subprocess.TimeoutExpired):
            code, seconds, hangs = self._process.wait(_HANGS), self.seconds(), ""
        end = time.monotonic() + _LINGERS
        while not hangs and self.processes() and time.monotonic() < end:
            time.sleep(0.05)
        left = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                left.append(" ".join(process.cmdline()))
                process.kill()
        out, err = (file.read_text() for file in self._texts)
        for file in self._texts:
            file.unlink()
        assert not hangs and not left, f"{hangs} {left}: {err[-2000:]}"
        begun = self.folder / BEGUN
        return Ended(code, out.strip(), err, seconds, begun.stat().st_mtime - self.start if begun.exists() else 0.0)


def _runs(process: psutil.Process, word: str) -> bool:
    with suppress(psutil.Error):
        return any(word in part for part in process.cmdline())
    return False


class Killed(BaseException):
    """The end of a process, at a place in this one."""


@contextmanager
def at_file(number: int, written: bool) -> Iterator[list[bool]]:
    """Kill what is done in the block when it puts the file ``number`` in its place, from 0: before that, which leaves the file under
    its temporary name, or after it, when it is ``written``. The list is empty where there are not so many files."""
    replace, files, hit = os.replace, itertools.count(), []

    def deadly(*names, **options):
        here = next(files) == number
        if written or not here:
            replace(*names, **options)
        if here:
            hit.append(True)
            raise Killed

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(os, "replace", deadly)
        yield hit


def assert_goes_on(work: Callable[[Path], object], folder: Path) -> None:
    """What ``work`` leaves in a folder is the same where it was killed at any of the files that it writes, and done again."""
    (whole := folder / "whole").mkdir(parents=True)
    work(whole)
    for written in (False, True):
        for number in itertools.count():
            (place := folder / f"{number}{written}").mkdir()
            with at_file(number, written) as hit:
                work(place)
            if not hit:
                break
            work(place)
            assert_same(place, whole)
        assert number, "it writes no file"


def undisturbed(command: Sequence[object], folder: Path, **variables: str) -> Ended:
    """A program to its end. Raises AssertionError where it fails, or hangs."""
    done = Program(command, folder, variables).ended()
    assert done.code == 0, done.err[-3000:]
    return done


def killed(
    command: Sequence[object],
    folder: Path,
    whom: str,
    seed: int,
    whole: Ended,
    phase: Callable[[Path, float], str],
    **variables: str,
) -> Ended:
    """A program of which ``whom`` is killed, at a moment of its whole duration, or of the part of it after it has written ``BEGUN``. Of
    every three seeds the last waits from that moment on for a file that is being written.

    Args:
        whole: the end of the undisturbed program.
        phase: as :func:`by_files` gives it.
    """
    chance = random.Random(f"{' '.join(map(str, command[1:]))} {whom} {seed}")
    moment, at_writing = chance.uniform(0, whole.seconds - whole.begun), seed % 3 == 2
    program = Program(command, folder, variables)
    while whole.begun and program.is_running() and not (folder / BEGUN).exists():
        time.sleep(0.01)
    time.sleep(moment)
    while at_writing and program.is_running() and not being_written(folder):
        time.sleep(0.0005)
    hit = False
    while program.is_running() and not (hit := program.kill(whom, chance)):
        time.sleep(0.02)
    when, files = program.seconds(), being_written(folder)
    how = phase(folder, program.start) + (f", writing {', '.join(sorted(files))}" if files else "")
    done = program.ended()
    if whom in (EVERYONE, MAIN):
        assert done.code in (-signal.SIGKILL, 0), done.err[-3000:]
        hit = done.code != 0
    print(f"kill {seed} of {whom}: after {when:.2f} of {whole.seconds:.2f} s: {how if hit else 'it had ended'}")
    return done


def by_files(**stages: str) -> Callable[[Path, float], str]:
    """A function that says how far a program has come in a folder: to the last of ``stages`` of whose pattern a file was written since
    a moment."""

    def is_since(file: Path, moment: float) -> bool:
        with suppress(FileNotFoundError):
            return file.stat().st_mtime >= moment - 0.01  # as coarse as the times of files are
        return False

    def phase(folder: Path, moment: float) -> str:
        begun = [name for name, pattern in stages.items() if any(is_since(f, moment) for f in folder.glob(pattern))]
        return begun[-1].replace("_", " ") if begun else "start-up"

    return phase


def being_written(folder: Path) -> list[str]:
    """The names of files under ``folder`` that somebody writes, or had not finished when he was killed."""
    return [found[1] for _, _, files in os.walk(folder) for name in files if (found := _TEMPORARY.fullmatch(name))]


def kept(folder: Path) -> dict[str, object]:
    """All files under ``folder``, by name, with what is in them but for times."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {file.relative_to(folder).as_posix(): _content(file) for file in files}


def _content(file: Path):
    if file.suffix == ".safetensors":  # which orders the texts beside the tensors by chance
        tensors, texts = load_tensors(file)
        return texts, {
            name: (str(value.dtype), value.shape, value.numpy().tobytes())
            for name, value in tensors.items()
            if name != "seconds"
        }
    if file.suffix == ".json":
        return _without_times(json.loads(file.read_bytes()))
    if file.suffix in (".md", ".csv", ".ipynb", ".tex"):
        return _SECONDS.sub("", file.read_text())
    return None if file.suffix == ".log" else file.read_bytes()


def _without_times(part):
    if isinstance(part, dict):
        return {name: _without_times(value) for name, value in part.items() if name not in _TIMES}
    if isinstance(part, list):
        return [_without_times(value) for value in part]
    return _SECONDS.sub("", part) if isinstance(part, str) else part


def assert_same(one: Path, other: Path) -> None:
    """Two folders hold the same files, with the same content but for times."""
    first, second = kept(one), kept(other)
    assert first.keys() == second.keys(), sorted(first.keys() ^ second.keys())
    different = [name for name in first if first[name] != second[name]]
    if different:
        texts = [json.dumps(files[different[0]], default=repr, indent=1).splitlines() for files in (first, second)]
        lines = [pair for pair in zip(*texts, strict=False) if pair[0] != pair[1]]
        raise AssertionError(f"{different} differ: {str(lines[:3])[:1000]}")

"""Notebooks through papermill, several at a time, each leaving its executed copy beside its report."""

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from tqdm.auto import tqdm

from dcmq.core.errors import DcmqError
from dcmq.core.executors import SCHEDULER, LostWorker, do_all
from dcmq.core.paths import display_path, home, runs_dir
from dcmq.core.registry import suggestion
from dcmq.core.storage import atomic_write
from dcmq.experiments.parameters import defaults, shown
from dcmq.reporting.alone import EXECUTED, alone_in
from dcmq.reporting.clean_notebooks import clean
from dcmq.reporting.page import newest_report
from dcmq.reporting.report import NOTEBOOK

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def run_notebooks(
    names: Sequence[str], parameters: Mapping[str, str], jobs: int, scheduler: str = ""
) -> dict[str, str]:
    """Run notebooks of the folder ``notebooks``, ``jobs`` at a time; one that fails does not stop the others.

    Args:
        parameters: for those notebooks that have a parameter of that name.
        scheduler: address of a Dask cluster that runs them instead, all of its workers at a time.

    Returns:
        a line on what went wrong, by the name of each notebook that failed.

    Raises:
        DcmqError: there is no such notebook, none is named, or a parameter that cannot be, said before any runs; or nobody answers at
            ``scheduler``.
    """
    if not names:
        raise DcmqError(f"no notebook in {display_path(home() / 'notebooks')}: set DCMQ_HOME to a checkout, which has them")
    files = {name: notebook_file(name) for name in names}
    taken = {name for file in files.values() for name in notebook_parameters(file, parameters)}
    for name in parameters.keys() - taken:
        print(f"note: {name} changes nothing, as it is no parameter of {', '.join(files)}", file=sys.stderr)
    failures: dict[str, str] = {}
    with tqdm(total=len(files), unit="notebook") as bar:
        waiting = set(files)

        def on_done(name: str, problem: str) -> None:
            waiting.remove(name)
            if problem:
                failures[name] = problem
            bar.set_postfix_str(f"{name} {'failed' if problem else 'done'}")
            bar.update()

        try:
            do_all(
                execute,
                {name: (file, dict(parameters)) for name, file in files.items()},
                {name: name for name in files},
                on_done,
                lambda line: bar.write(line, file=sys.stderr),
                workers=jobs,
                scheduler=scheduler,
                advice="lower --jobs",
            )
        except LostWorker as error:
            failures |= dict.fromkeys(sorted(waiting), str(error))
    return failures


def notebook_file(name: str) -> Path:
    """The file of a notebook. Raises DcmqError where there is none of that name."""
    folder = home() / "notebooks"
    file = folder / f"{name}.ipynb"
    if not file.is_file():
        names = sorted(path.stem for path in folder.glob("*.ipynb"))
        if not names:
            told = "the package brings none, so copy the folder notebooks of the repository there, or set DCMQ_HOME to a checkout"
            raise DcmqError(f"there is no notebook in {display_path(folder)}: {told}")
        raise DcmqError(
            f"no notebook {name!r} in {display_path(folder)}{suggestion(name, names)} "
            f"(known: {', '.join(names)})"
        )
    return file


def execute(notebook: Path, parameters: Mapping[str, str]) -> str:
    """Run one notebook in this process and put its executed copy beside the report. Returns what went wrong, or nothing.

    Raises:
        LostWorker: the kernel was killed.
    """
    os.environ.pop(SCHEDULER, None)  # a worker of a cluster that waits for others of it might wait for ever
    output = runs_dir() / EXECUTED / notebook.name
    output.parent.mkdir(parents=True, exist_ok=True)
    log, values = output.with_suffix(".log"), notebook_parameters(notebook, parameters)
    try:
        with _errors_into(log):
            papermill.execute_notebook(str(notebook), str(output), values, progress_bar=False)
    except Exception as error:  # whatever a cell raises, or papermill
        if _is_of_dead_kernel(error):
            raise LostWorker("its kernel was killed, most likely because memory was short") from None
        with log.open("a", encoding="utf-8") as file:
            file.write(_COLORS.sub("", traceback.format_exc()))
        raised = f"{error.ename}: {error.evalue}" if isinstance(error, PapermillExecutionError) else str(error)
        lines = [line for line in _COLORS.sub("", raised).splitlines() if line.strip()]
        return f"{lines[-1] if lines else type(error).__name__} (all of it: {display_path(log)})"
    folder, executed = newest_report(notebook.stem), nbformat.writes(clean(nbformat.read(output, as_version=4)))
    with alone_in(folder, NOTEBOOK):
        atomic_write(folder / NOTEBOOK, f"{executed}\n".encode())
    output.unlink()
    return ""


def _is_of_dead_kernel(error: Exception) -> bool:
    died_at_start = type(error) is RuntimeError and str(error).startswith("Kernel died")  # jupyter_client has no class for it
    return died_at_start or isinstance(error, DeadKernelError)


def notebook_parameters(notebook: Path, parameters: Mapping[str, str]) -> dict[str, object]:
    """Those of ``parameters`` that the notebook has, each as the type of its default. It trains one run at a time.

    Raises:
        DcmqError: a value that is none of that type.
    """
    known = defaults(notebook)
    values = {name: value for name, value in {**parameters, "workers": "1"}.items() if name in known}
    return {name: _as_type(name, value, type(known[name])) for name, value in values.items()}


def _as_type(name: str, text: str, kind: type) -> object:
    if kind is str:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise DcmqError(f"{name}: {shown(text)} is no {kind.__name__}; write it like {json.dumps(kind(1))}")
    return value


@contextmanager
def _errors_into(log: Path) -> Iterator[None]:
    """Write what this process and its children say on stderr to a file."""
    before = os.dup(2)
    try:
        with log.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 2)
            yield
    finally:
        os.dup2(before, 2)
        os.close(before)

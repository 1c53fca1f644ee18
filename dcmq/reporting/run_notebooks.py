"""Notebooks through papermill, several at a time, each leaving its executed copy beside its report."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from tqdm.auto import tqdm

from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, home
from dcmq.core.registry import suggestion
from dcmq.experiments.parameters import defaults
from dcmq.reporting.clean_notebooks import clean
from dcmq.reporting.page import newest_report


def run_notebooks(names: Sequence[str], parameters: Mapping[str, str], jobs: int) -> dict[str, str]:
    """Run notebooks of the folder ``notebooks``, ``jobs`` at a time; one that fails does not stop the others.

    Args:
        parameters: for those notebooks that have a parameter of that name.

    Returns:
        a line on what went wrong, by the name of each notebook that failed.

    Raises:
        DcmqError: there is no such notebook; said before any runs.
    """
    files = {name: notebook_file(name) for name in names}
    failures, running = {}, set()
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(files), unit="notebook") as bar:
        futures = {pool.submit(execute, file, parameters, running): name for name, file in files.items()}
        try:
            for future in as_completed(futures):
                name, problem = futures[future], future.result()
                if problem:
                    failures[name] = problem
                bar.set_postfix_str(f"{name} {'failed' if problem else 'done'}")
                bar.update()
        except BaseException:  # an interruption: else the pool would run all that waits
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in futures):  # a process may begin just now
                for process in list(running):
                    process.terminate()
                time.sleep(0.05)
            raise
    return failures


def notebook_file(name: str) -> Path:
    """The file of a notebook. Raises DcmqError where there is none of that name."""
    folder = home() / "notebooks"
    file = folder / f"{name}.ipynb"
    if not file.is_file():
        names = sorted(path.stem for path in folder.glob("*.ipynb"))
        raise DcmqError(
            f"no notebook {name!r} in {display_path(folder)}{suggestion(name, names)} "
            f"(known: {', '.join(names) or 'none'})"
        )
    return file


def execute(notebook: Path, parameters: Mapping[str, str], running: set[subprocess.Popen]) -> str:
    """Run one notebook and put its executed copy beside the report. Returns what went wrong, or nothing.

    Args:
        running: holds the process while it runs, for whoever wants to end it.
    """
    output = home() / "runs" / "executed" / notebook.name
    output.parent.mkdir(parents=True, exist_ok=True)
    command = papermill_command(notebook, output, parameters)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        running.add(process)
        try:
            out, err = process.communicate()
        finally:
            running.discard(process)
    output.with_suffix(".log").write_text(out + err)
    if process.returncode:
        lines = [line for line in err.splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'papermill failed'} (all of it: {display_path(output.with_suffix('.log'))})"
    nbformat.write(clean(nbformat.read(output, as_version=4)), newest_report(notebook.stem) / "notebook.ipynb")
    output.unlink()
    return ""


def papermill_command(notebook: Path, output: Path, parameters: Mapping[str, str]) -> list[str]:
    """The call of papermill, with those of ``parameters`` that the notebook has. It trains one run at a time."""
    known = defaults(notebook)
    values = {name: value for name, value in {**parameters, "workers": "1"}.items() if name in known}
    words = [word for name, value in values.items() for word in ("-p", name, value)]
    return [sys.executable, "-m", "papermill", "--no-progress-bar", str(notebook), str(output), *words]

"""``python -m dcmq.reporting.run_notebooks``: every notebook through papermill, several at a time, and the page over their reports."""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from tqdm.auto import tqdm

from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, home
from dcmq.experiments.parameters import defaults
from dcmq.reporting.page import NOTEBOOKS, newest_report, write_page

PASSED = ("profile", "dataset", "data_root", "data_options", "teacher", "seeds", "epochs", "settings")


def command(notebook: Path, output: Path, given: dict[str, str]) -> list[str]:
    """The papermill call; of ``given`` only what the notebook has as a parameter. One run at a time in each notebook."""
    known = defaults(notebook)
    words = [w for name, value in (given | {"workers": "1"}).items() if name in known for w in ("-p", name, value)]
    return [sys.executable, "-m", "papermill", "--no-progress-bar", str(notebook), str(output), *words]


def execute(notebook: Path, given: dict[str, str]) -> str:
    """Run one notebook and put its executed copy beside the report; returns what went wrong, or nothing."""
    output = home() / "runs" / "executed" / notebook.name
    output.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command(notebook, output, given), capture_output=True, text=True)
    (output.with_suffix(".log")).write_text(done.stdout + done.stderr)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'papermill failed'} (all of it: {display_path(output.with_suffix('.log'))})"
    executed = nbformat.read(output, as_version=4)
    executed.metadata.pop("papermill", None)  # it names folders of this machine
    nbformat.write(executed, newest_report(notebook.stem) / "notebook.ipynb")
    output.unlink()
    return ""


def main(arguments: list[str]) -> int:
    """Run what was asked for; 1 if any notebook failed, after all have run."""
    parser = argparse.ArgumentParser(prog="python -m dcmq.reporting.run_notebooks", description=__doc__)
    parser.add_argument("notebooks", nargs="*", metavar="NAME", help="of notebooks/; default: all, in reading order")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="notebooks at a time, a core each")
    for name in PASSED:
        parser.add_argument(
            f"--{name.replace('_', '-')}", default="", help="passed to notebooks that have this parameter"
        )
    options = parser.parse_args(arguments)
    folder = home() / "notebooks"
    names = options.notebooks or [name for name in NOTEBOOKS if (folder / f"{name}.ipynb").is_file()]
    for name in names:
        if not (folder / f"{name}.ipynb").is_file():
            there = ", ".join(sorted(path.stem for path in folder.glob("*.ipynb")))
            raise DcmqError(f"no notebook {name!r} in {display_path(folder)} (there: {there or 'none'})")
    given = {name: getattr(options, name) for name in PASSED if getattr(options, name)}
    failed = {}
    with ThreadPoolExecutor(max(1, options.jobs)) as pool, tqdm(total=len(names), unit="notebook") as bar:
        futures = {pool.submit(execute, folder / f"{name}.ipynb", given): name for name in names}
        for future in as_completed(futures):
            name, problem = futures[future], future.result()
            if problem:
                failed[name] = problem
            bar.set_postfix_str(f"{name} {'failed' if problem else 'done'}")
            bar.update()
    print("written to", display_path(write_page()))
    for name, problem in failed.items():
        print(f"{name} failed: {problem}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DcmqError as error:
        sys.exit(str(error))

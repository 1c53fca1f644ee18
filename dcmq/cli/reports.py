"""``dcmq reports``: run notebooks, write the page over their reports, and say where a report lies."""

import os
import sys
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Run notebooks, and find and gather their reports.")


def _notebooks(incomplete: str) -> list[str]:
    """Names of notebooks, for a shell to complete."""
    from dcmq.core.paths import home

    return [path.stem for path in sorted((home() / "notebooks").glob(f"{incomplete}*.ipynb"))]


def _passed(text: str) -> typer.models.OptionInfo:
    return typer.Option(help=text, rich_help_panel="Passed to the notebooks that have this parameter")


@app.command(
    epilog="""Examples:

  dcmq reports run                                     # all notebooks
  dcmq reports run ablation_npc main_results --jobs 2
  dcmq reports run quickstart --teacher clip-wide --seeds 0,1,2
  dcmq reports run main_results --profile paper --dataset mirflickr --data-root ~/mirflickr --teacher clip-vit-b32"""
)
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Notebooks.",
            show_default="all, in reading order",
            autocompletion=_notebooks,
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Notebooks at a time, a core each.", show_default="as many as cores")
    ] = None,
    profile: Annotated[str, _passed("demo or paper.")] = "",
    dataset: Annotated[str, _passed("Data set.")] = "",
    data_root: Annotated[str, _passed("Folder of its files.")] = "",
    data_options: Annotated[str, _passed("NAME=VALUE ... for its loader.")] = "",
    teacher: Annotated[str, _passed("See dcmq teachers list.")] = "",
    seeds: Annotated[str, _passed("Comma-separated.")] = "",
    epochs: Annotated[str, _passed("0: the profile's.")] = "",
    settings: Annotated[str, _passed("NAME=VALUE ... of a run.")] = "",
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Dask cluster that runs the notebooks.", envvar="DCMQ_SCHEDULER")
    ] = "",
) -> None:
    """Run notebooks, several at a time, put each executed copy beside its report, and write the page over all reports."""
    from dcmq.core.paths import display_path
    from dcmq.reporting.page import write_page
    from dcmq.reporting.run_notebooks import run_notebooks
    from dcmq.studies.registry import reading_order

    parameters = {
        "profile": profile,
        "dataset": dataset,
        "data_root": data_root,
        "data_options": data_options,
        "teacher": teacher,
        "seeds": seeds,
        "epochs": epochs,
        "settings": settings,
    }
    failures = run_notebooks(
        names or [name for name in reading_order() if name in _notebooks("")],
        {name: value for name, value in parameters.items() if value},
        jobs or os.cpu_count() or 1,
        scheduler,
    )
    print("written to", display_path(write_page(reading_order())))
    for name, problem in failures.items():
        print(f"{name} failed: {problem}", file=sys.stderr)
    if failures:
        raise typer.Exit(1)


@app.command(
    epilog="""Examples:

  dcmq reports page"""
)
def page() -> None:
    """Write README.md over all reports anew, from their records and tables."""
    from dcmq.core.paths import display_path
    from dcmq.reporting.page import write_page
    from dcmq.studies.registry import reading_order

    print("written to", display_path(write_page(reading_order())))


@app.command(
    epilog="""Examples:

  dcmq reports where ablation_npc"""
)
def where(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Notebook.", autocompletion=_notebooks)],
) -> None:
    """Say where the newest report of a notebook lies, and the records of its runs."""
    from dcmq.reporting.page import where as report_files

    print(report_files(name))

"""``dcmq runs``: the runs that notebooks have trained: list them, look at one, compare two, remove what nothing needs."""

import dataclasses
import json
import sys
from typing import Annotated

import typer

from dcmq.cli.console import print_pairs, print_table, require_known

app = typer.Typer(no_args_is_help=True, help="List runs, look at one, compare two, and remove what nothing needs.")


def _keys(incomplete: str) -> list[tuple[str, str]]:
    """Keys of runs, or else names of their folders, that begin so, each with the other, for a shell to complete."""
    from dcmq.experiments.run_list import run_folders, run_key_of

    pairs = [(run_key_of(folder), folder.name) for folder in run_folders()]
    return [(key, name) if key.startswith(incomplete) else (name, key) for key, name in pairs]


def _key(metavar: str = "KEY") -> typer.models.ArgumentInfo:
    text = "The beginning of a run's key or of its folder's name, or the folder."
    return typer.Argument(metavar=metavar, help=text, autocompletion=_keys)


@app.command(
    name="list",
    epilog="""Examples:

  dcmq runs list
  dcmq runs list --sort i2t --reverse --limit 10
  dcmq runs list --method DCMQ --target npc --bits 64 --dataset scenes --teacher clip --seed 0
  dcmq runs list --json | jq '.[].key'

Columns to sort by: key, method, target, parts, bits, dataset, teacher, seed, epochs, i2t and t2i (mAP@all), i2t_at_r and
t2i_at_r (mAP@R of hits), r, seconds, finished.""",
)
def list_(
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Sort by a column, upwards.", show_default="the newest first"),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort downwards, or the oldest first.")] = False,
    method: Annotated[str | None, typer.Option(help="Only runs of this method.")] = None,
    target: Annotated[str | None, typer.Option(help="Only runs with this target.")] = None,
    bits: Annotated[int | None, typer.Option(help="Only runs with codes of this length.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this data set.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Only runs with this teacher.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only runs with this seed.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all columns and the folder.")] = False,
) -> None:
    """List the runs that there are, with their metrics on items not trained on, if there are any; unfinished ones too."""
    from dcmq.core.paths import display_path, runs_dir
    from dcmq.experiments.run_list import COLUMNS, list_runs, newest_runs, select_runs, sorted_runs

    if sort is not None:
        require_known(sort, COLUMNS, "--sort")
    rows, problems = list_runs()
    rows = select_runs(rows, method=method, target=target, bits=bits, dataset=dataset, teacher=teacher, seed=seed)
    rows = sorted_runs(rows, sort, reverse) if sort else sorted_runs(rows, "finished", not reverse)
    rows = rows[:limit]
    if as_json:
        print(json.dumps([row.to_dict() for row in rows], indent=2))
    else:
        columns = ["key", "run", "data set", "teacher", "finished", "bits", "seed", "epochs", "i2t", "t2i"]
        columns += ["R", "i2t@R", "t2i@R", "seconds"]
        print_table(columns, [_cells(row) for row in rows], left=5)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if not rows:
        print(f"no such run in {display_path(runs_dir())}; {newest_runs()}", file=sys.stderr)


def _cells(row) -> list[str]:
    what = " ".join(word for word in (row.method if row.method != row.label else "", row.label, row.parts) if word)
    when = row.finished[:16].replace("T", " ") if row.finished else "unfinished"
    numbers = [_number(value) for value in (row.bits, row.seed, row.epochs, row.i2t, row.t2i)]
    at_r = [_number(value) for value in (row.r, row.i2t_at_r, row.t2i_at_r)]
    seconds = "" if row.seconds is None else f"{row.seconds:.0f}"
    return [row.key[:8], what, row.dataset or "", row.teacher or "", when, *numbers, *at_r, seconds]


def _number(value: float | int | None) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


@app.command(
    epilog="""Examples:

  dcmq runs show 3f2a
  dcmq runs show npc-64bits-seed0 --json"""
)
def show(
    key: Annotated[str, _key()],
    as_json: Annotated[bool, typer.Option("--json", help="Print the run's record as it is.")] = False,
) -> None:
    """Say everything that is known of a run: what decided it, how its losses fell, and what it reaches."""
    from dcmq.experiments.run_comparison import described, measured, metric_table
    from dcmq.experiments.run_list import find_run_folder, read_record, run_row

    folder = find_run_folder(key)
    row, record = run_row(folder), read_record(folder)
    if as_json:
        print(json.dumps(record, indent=2))
        return
    print_pairs({"run": folder.name, "folder": folder, "finished": record["finished"]}, 26)
    _print_heading("what decided it")
    print_pairs({name: _value(value) for name, value in described(record).items()}, 26)
    _print_heading("training")
    costs = {"seconds": row.seconds, "epochs": row.epochs}
    costs |= {
        name.replace("_", " "): record[name] for name in ("student_parameters", "bytes_per_item") if name in record
    }
    print_pairs(costs, 26)
    if record["losses"]:
        first, last = record["losses"][0], record["losses"][-1]
        print_table(
            ["loss", "first epoch", "last epoch"],
            [[n, f"{first[n]:.4f}", f"{last[n]:.4f}"] for n in first if n in last],
        )
    _print_heading("metrics")
    table = metric_table(record)
    print_table(["", *map(" ".join, measured(record))], [[name, *map(_number, row)] for name, row in table.items()])
    if usage := record["evaluation"].get("codewords"):
        names = [name for name, value in next(iter(usage.values())).items() if isinstance(value, float)]
        print_table(
            ["codewords", *names],
            [[modality, *(_number(of.get(name)) for name in names)] for modality, of in usage.items()],
        )


@app.command(
    epilog="""Examples:

  dcmq runs compare 3f2a 90bc
  dcmq runs compare identity-64bits-seed0 npc-64bits-seed0 --json"""
)
def compare(
    a: Annotated[str, _key("A")],
    b: Annotated[str, _key("B")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs: settings that differ, metrics side by side, and their queries one by one (B against A)."""
    from dcmq.experiments.run_comparison import differing, metric_pairs, paired_queries
    from dcmq.experiments.run_list import find_run_folder, read_record, run_row

    folders = [find_run_folder(name) for name in (a, b)]
    rows = [run_row(folder) for folder in folders]
    first, second = map(read_record, folders)
    settings, metrics, queries = differing(first, second), metric_pairs(first, second), paired_queries(first, second)
    if as_json:
        content = {"a": rows[0].to_dict(), "b": rows[1].to_dict(), "settings": settings}
        content["metrics"] = [dataclasses.asdict(pair) | {"difference": pair.difference} for pair in metrics]
        content["queries"] = [dataclasses.asdict(pair) for pair in queries]
        print(json.dumps(content, indent=2))
        return
    print_pairs({"A": folders[0].name, "B": folders[1].name}, 2)
    _print_heading("settings that differ" if settings else "no setting differs")
    if settings:
        print_table(["setting", "A", "B"], [[n, _value(x), _value(y)] for n, (x, y) in settings.items()], left=3)
    _print_heading("metrics")
    print_table(
        ["query", "gallery", "metric", "A", "B", "B - A"],
        [
            [p.direction, p.gallery, p.metric, _number(p.a), _number(p.b)]
            + ["" if p.difference is None else f"{p.difference:+.3f}"]
            for p in metrics
        ],
        left=3,
    )
    _print_heading("queries one by one" if queries else "their queries cannot be paired: another data set or split")
    if queries:
        print_table(
            ["query", "metric", "mean difference", "B better", "B worse", "equal"],
            [[q.direction, q.metric, f"{q.mean_difference:+.4f}", q.better, q.worse, q.equal] for q in queries],
            left=2,
        )


@app.command(
    epilog="""Examples:

  dcmq runs clean                                    # says what it would remove
  dcmq runs clean --keep npc-64bits --keep 3f2a --yes
  dcmq runs clean --unfinished --yes"""
)
def clean(
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="Leave runs whose key or name begins so; may be repeated.", autocompletion=_keys
        ),
    ] = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Remove unfinished runs too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it nothing is.")] = False,
) -> None:
    """Remove the runs that no report refers to. Runs that are being trained stay."""
    from dcmq.core.paths import display_path, reports_dir, runs_dir
    from dcmq.experiments.run_cleaning import removable_runs, remove_run

    removable = removable_runs(tuple(keep or ()), unfinished)
    if not removable:
        print(f"nothing to remove: the reports in {display_path(reports_dir())} refer to every run, or there is none")
        return
    print_table(
        ["run", "state", "MB"],
        [[run.folder.name, "finished" if run.finished else "unfinished", f"{run.size / 1e6:.1f}"] for run in removable],
        left=2,
    )
    if yes:
        busy = [run for run in removable if not remove_run(run.folder)]
        for run in busy:
            print(f"left, as it is being trained: {run.folder.name}", file=sys.stderr)
        removable = [run for run in removable if run not in busy]
    size = f"{sum(run.size for run in removable) / 1e6:.1f} MB in {display_path(runs_dir())}"
    print(f"removed: {size}" if yes else f"would remove {size}; nothing is removed without --yes")


def _print_heading(text: str) -> None:
    print(f"\n{text}")


def _value(value: object) -> str:
    """A setting as one word, as a notebook would be told it."""
    if value is None:
        return "-"
    if value == "":
        return '""'
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)

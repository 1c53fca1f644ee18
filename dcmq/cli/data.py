"""``dcmq data``: prepare a data set once, verify what was prepared, say what it is."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from dcmq.cli.console import quoted, visible

app = typer.Typer(no_args_is_help=True, help="Prepare data sets, verify them, and say what is in them.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Data set, with its population after a colon where it has several: mirflickr, nuswide:tc10, coco, folder. "
        "A name that is not known is answered with all that are.",
    ),
]
Root = Annotated[Path, typer.Option(metavar="DIR", help="Where the files lie, or shall be put.")]


@app.command(
    epilog="""Examples:

  dcmq data prepare mirflickr --root ~/mirflickr --download
  dcmq data prepare nuswide:tc10 --root ~/nuswide --out ~/prepared/nuswide-tc10
  dcmq data prepare coco --root ~/coco --ignore-classes person
  dcmq data prepare folder --root ~/Pictures --table labels.csv --expect none"""
)
def prepare(
    name: Name,
    root: Root,
    download: Annotated[bool, typer.Option("--download", help="Fetch the official archives into DIR first.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Prepared folder.", show_default="ROOT/prepared/NAME")
    ] = None,
    expect: Annotated[
        Literal["official", "none"], typer.Option(help="Compare counts with the published ones, or with nothing.")
    ] = "official",
    query: Annotated[int | None, typer.Option(help="Number of queries.", show_default="as published")] = None,
    train: Annotated[int | None, typer.Option(help="Number of training samples.", show_default="as published")] = None,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    words: Annotated[int, typer.Option(help="Size of the vocabulary, where texts are captions.")] = 2026,
    image_size: Annotated[int, typer.Option(help="Pixels a side that images are squashed to.")] = 256,
    ignore_classes: Annotated[
        str, typer.Option(metavar="CLASS,CLASS", help="coco: categories to leave out.", show_default=False)
    ] = "",
    mat: Annotated[
        bool, typer.Option("--mat", help="Read ready-made .mat files instead of the official layout.")
    ] = False,
    table: Annotated[
        str, typer.Option(metavar="FILE", help="folder: the table, where there are several.", show_default=False)
    ] = "",
    text_column: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME", help="folder: the column of texts, or several, of another name.", show_default=False
        ),
    ] = "",
    separator: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="folder: cut labels at this character, or at each of several; none where a cell is one label.",
            show_default="as found",
        ),
    ] = "",
    fold_case: Annotated[
        bool, typer.Option("--fold-case", help="folder: take labels that differ by case, or look alike, as one.")
    ] = False,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="folder: read images that lie out of DIR, too.")
    ] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out samples whose image is not on disk.")
    ] = False,
) -> None:
    """Read the official layout of a data set, or your own table, check its counts, and decode its images.

    Images of more than 64 million pixels are left out and named, but for JPEGs of up to 178 million."""
    from dcmq.data import datasets
    from dcmq.data.prepare import prepare as prepare_folder
    from dcmq.data.summary import prepared_summary

    full_name = datasets.preparable(name)
    if download:
        datasets.download(full_name, Path(os.path.expanduser(root)))
    files = datasets.data_folder(str(root), full_name)
    folder = Path(os.path.expanduser(out)) if out else files / "prepared" / full_name.replace(":", "-")
    options = datasets.ReadOptions(
        ignore_classes=tuple(filter(None, ignore_classes.split(","))),
        table=table,
        separator=separator,
        fold_case=fold_case,
        text_column=text_column,
        allow_outside=allow_outside,
    )
    about = prepare_folder(
        datasets.read_source(full_name, files, options, ready_made=mat),
        folder.resolve(),
        image_size=image_size,
        query=query,
        train=train,
        seed=seed,
        words=words,
        official=expect == "official",
        skip_missing=skip_missing,
    )
    print(prepared_summary(folder, about))
    print(f"{'use it':<12} -p dataset {full_name} -p data_root {visible(quoted(folder))}")


@app.command(
    epilog="""Examples:

  dcmq data verify mirflickr --root ~/mirflickr
  dcmq data verify nuswide:tc10 --root ~/prepared/nuswide-tc10"""
)
def verify(name: Name, root: Root) -> None:
    """Read every byte of a prepared folder again: checksums, index files, counts."""
    from dcmq.data.prepare import verify as verify_folder
    from dcmq.data.summary import prepared_summary

    folder = _prepared(name, root)
    about = verify_folder(folder)
    print(prepared_summary(folder, about))
    print(f"{'verified':<12} {len(about['files'])} files by SHA-256, index files, fingerprint")


@app.command(
    epilog="""Examples:

  dcmq data info mirflickr --root ~/mirflickr
  dcmq data info folder --root ~/Pictures/prepared/folder"""
)
def info(name: Name, root: Root) -> None:
    """Say what a prepared folder holds: counts, choices, what was left out, split, fingerprint."""
    from dcmq.data.prepared import description
    from dcmq.data.summary import prepared_summary

    folder = _prepared(name, root)
    print(prepared_summary(folder, description(folder)))


def _prepared(name: str, root: Path) -> Path:
    from dcmq.data import datasets

    return datasets.find_prepared(name, datasets.data_folder(str(root), datasets.preparable(name)))

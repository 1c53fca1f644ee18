"""``dcmq export``: a trained student for those who have no torch."""

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

  dcmq export npc-64bits student --onnx
  dcmq export photos student --onnx --int8    # with the codes of the collection photos

The folder's README.md says how to search with it. A gallery alone, for other programs: dcmq search export."""


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Trained run: its folder, or the beginning of its name or key; or a collection, whose codes go along.",
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that does not exist yet.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="As ONNX graphs, with a reader that needs no torch.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Round the weights of the graphs to 8 bits: a quarter of the size.")
    ] = False,
) -> None:
    """Write a trained student to a folder that needs no torch to search images."""
    if not onnx:
        raise typer.BadParameter("say as what: there is --onnx", param_hint="'--onnx'")
    from dcmq.cli.console import visible
    from dcmq.experiments.run_list import find_run_folder
    from dcmq.search.collection import KINDS, Collection
    from dcmq.search.pretrained import MODEL
    from dcmq.search.runs import model_of
    from dcmq.sharing.onnx_export import export_onnx

    source = find_run_folder(run)
    opened = Collection(source) if (source / MODEL).is_file() else None
    galleries = {kind: opened.load_index(kind) for kind in KINDS} if opened else {}
    export_onnx(opened.model if opened else model_of(source), folder, galleries, int8)
    for file in sorted(folder.glob("*.onnx")):
        print(f"{file.name:<18} {file.stat().st_size:,} bytes")
    for kind, index in galleries.items():
        if len(index):
            print(f"{kind:<18} {len(index)} with their codes")
    print(f"{'search with it':<18} {visible(folder / 'README.md')}")

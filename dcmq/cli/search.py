"""``dcmq search``: make images and texts of one's own searchable with a trained student, and search them."""

import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from dcmq.cli.console import quoted, require_known, visible

app = typer.Typer(no_args_is_help=True, help="Search images and texts of your own with a trained student.")

_NAMED = 10  # names of what was left out that are printed

Folder = Annotated[Path, typer.Argument(metavar="COLLECTION", help="Folder of the searchable collection.")]


@app.command(
    epilog="""Examples:

  dcmq search build photos --run npc-64bits --images ~/Pictures --texts captions.txt
  dcmq search build photos --images ~/Pictures    # again: only what is new or replaced is encoded
  dcmq search build mine --run photos --images ~/other    # with the student of another collection"""
)
def build(
    collection: Folder,
    run: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="Trained run: its folder, or the beginning of its name or key; or another collection, which has a student too. "
            "Needed once.",
            show_default=False,
        ),
    ] = "",
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="SOURCE",
            help="Images: a folder, searched through with all its folders; a .txt file with a path in each line; a .tar file as of "
            "webdataset, a .parquet file, or a pattern for several, such as 'shards/*.tar'.",
        ),
    ] = None,
    texts: Annotated[Path | None, typer.Option(metavar="FILE", help="UTF-8 file with a text in each line.")] = None,
    lists: Annotated[
        bool | None,
        typer.Option(
            "--lists/--no-lists",
            help="Inverted lists: faster, and not exact (needs faiss).",
            show_default="from 5 million items on",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that encode images.", show_default="one for each CPU")
    ] = os.cpu_count() or 1,
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Dask cluster that encodes images instead.", envvar="DCMQ_SCHEDULER")
    ] = "",
) -> None:
    """Encode images that are new or replaced and texts that are new, and forget images that are gone."""
    if images is None and texts is None:
        raise typer.BadParameter("say what to encode", param_hint="'--images' or '--texts'")
    from dcmq.codes.faiss_engines import faiss_installed
    from dcmq.codes.index import LISTS_FROM
    from dcmq.core.errors import DcmqError
    from dcmq.search.collection import KINDS, Collection
    from dcmq.search.sources import absolute_source, require_source

    if images is not None:
        require_source(absolute_source(images))
    lines = [] if texts is None else _text(texts, "--texts").split("\n")
    if run:
        from dcmq.experiments.run_list import find_run_folder
        from dcmq.search.runs import model_of

        opened = Collection.create(collection, model_of(find_run_folder(run)))
    else:
        opened = Collection(collection)
    if images is not None:
        before = opened.source
        update = opened.update_images(images, workers, scheduler)
        if before not in (None, opened.source):
            print(f"{'moved':<10} the images are in {visible(opened.source)} now, and no longer in {visible(before)}")
        counts = f"{update.added} added, {update.replaced} replaced, {update.removed} forgotten because they are gone"
        print(f"{'images':<10} {counts}, {len(opened.load_index('images'))} in all")
        if update.unreadable:
            print(f"{'left out':<10} {_named(update.unreadable, 'that cannot be read')}")
        if update.too_large:
            named = [f"{name} (too large: {pixels})" for name, pixels in update.too_large.items()]
            print(f"{'left out':<10} {_named(named, 'with too many pixels')}")
        for reason, names in update.passed_over.items():
            print(f"{'left out':<10} {_named(names, reason)}")
    if texts is not None:
        added, unread = opened.add_texts([line for line in (" ".join(line.split()) for line in lines) if line])
        print(f"{'texts':<10} {added} added, {len(opened.load_index('texts'))} in all")
        if unread:
            print(f"{'left out':<10} {len(unread)} without a word that the student knows, such as {unread[0]!r}")
    for kind in KINDS:
        index = opened.load_index(kind)
        by_size = len(index) >= LISTS_FROM and not index.nlist and faiss_installed()
        if len(index) and (by_size if lists is None else lists):
            index.cluster()
            opened.save_index(kind, index)
            found = f"about {index.recall:.0%} of the first 100 are found (measured on items of its own as queries)"
            print(f"{'lists':<10} {index.nlist} of {kind}, of which a query looks at {index.nprobe}: {found}")
    print(f"{'search it':<10} dcmq search query {visible(quoted(collection))} --text 'WORDS'")
    if images is not None and update.damaged:
        names = "; ".join(f"{name} ({reason})" for name, reason in update.damaged.items())
        raise DcmqError(f"cannot be read: {names}: mend or copy them, and build again; all the others are done")


@app.command(
    epilog="""Examples:

  dcmq search query photos --text "red boat at sea" -k 20 --sheet hits.png
  dcmq search query photos --image ~/Pictures/boat.jpg
  dcmq search query photos --image ~/Pictures/boat.jpg --among images --json
  dcmq search query photos --text "red boat" --threshold chosen --fold    # only matches, each motif once
  dcmq search query photos --text "red boat" --ids holidays.txt

Each line is rank, score (mean of the M cosines, from -1 to 1), and the image's path or the text."""
)
def query(
    collection: Folder,
    text: Annotated[str | None, typer.Option(metavar="WORDS", help="Words that the student knows.")] = None,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="Image file.")] = None,
    among: Annotated[
        str,
        typer.Option(
            metavar="images|texts", help="What to rank.", show_default="images for a text, texts for an image"
        ),
    ] = "",
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File for a contact sheet of the images, in the format of its suffix: png, jpg, webp, tif.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write the sheet over a file that is no contact sheet.")
    ] = False,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="What searches; a name that is not known lists all.")
    ] = "auto",
    threshold: Annotated[
        str,
        typer.Option(
            metavar="SCORE|chosen",
            help="Leave out what is below that score, or below the one that was chosen in training.",
            show_default="all are hits",
        ),
    ] = "",
    fold: Annotated[
        bool, typer.Option("--fold", help="Count near duplicates of a hit with it, not as hits of their own.")
    ] = False,
    ids: Annotated[
        Path | None, typer.Option(metavar="FILE", help="UTF-8 file with an id in each line: search among these.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: rank, score, id of each.")] = False,
) -> None:
    """Rank images for a text, or texts for an image."""
    if (text is None) == (image is None):
        raise typer.BadParameter("exactly one of the two is needed", param_hint="'--text' / '--image'")
    from dcmq.codes.engines import ENGINES
    from dcmq.codes.index import AUTO
    from dcmq.core.errors import DcmqError
    from dcmq.search.collection import KINDS, Collection

    kind = require_known(among or ("images" if image is None else "texts"), KINDS, "--among")
    require_known(engine, (AUTO, *ENGINES), "--engine")
    if sheet is None and force:
        raise typer.BadParameter("there is no --sheet to write", param_hint="'--force'")
    opened = Collection(collection)
    if sheet is not None:
        from dcmq.search.sheet import contact_sheet, require_sheet_place

        if kind != "images" or opened.source is None:
            raise DcmqError("--sheet shows images, and what is searched are no image files")
        require_sheet_place(sheet, force)
    least, meaning = _threshold(opened, kind, "texts" if image is None else "images", threshold)
    among_ids = None if ids is None else [line for line in _text(ids, "--ids").split("\n") if line]
    asked = {"text": text or "", "image": image, "engine": engine, "among": among_ids}
    hits = opened.search(kind, **asked, k=k, threshold=least, fold=fold)
    if near := opened.model.near_words(text or ""):
        named = (f"{word} (did you mean {like}?)" if like else word for word, like in near.items())
        print(f"not known to the student: {visible(', '.join(named))}", file=sys.stderr)
    if as_json:
        rows = [{"rank": hit.rank, "score": hit.score, "id": hit.id} for hit in hits]
        rows = [row | {"duplicates": hit.duplicates} for row, hit in zip(rows, hits, strict=True)] if fold else rows
        print(json.dumps(rows))
    else:
        for hit in hits:
            more = f"  (and {len(hit.duplicates)} like it: {', '.join(hit.duplicates)})" if hit.duplicates else ""
            print(f"{hit.rank:>4}  {hit.score:.3f}  {visible(hit.id + more)}")
    if not hits:
        (best,) = opened.search(kind, **asked, k=1)
        print(f"no match      the best has {best.score:.3f}, below {least:.3f}{meaning}", file=sys.stderr)
    if sheet is not None and hits:
        shown = contact_sheet(sheet, text or f"like {image}", opened, hits)
        print(f"contact sheet  {visible(sheet)}", file=sys.stderr)
        again, source = f"dcmq search build {visible(quoted(collection))} --images", visible(opened.source)
        if shown.gone:
            told = f"{again} DIR, with the folder where they are"
            all_of = f"all {shown.gone}, which" if shown.gone == len(hits) else f"{shown.gone} that"
            print(f"grey           {all_of} are no longer in {source}: {told}", file=sys.stderr)
        if shown.replaced:
            told = f"found by their former content: {again} {visible(quoted(opened.source))}"
            print(f"replaced       {shown.replaced} since they were encoded, {told}", file=sys.stderr)


@app.command(
    epilog="""Examples:

  dcmq search export photos plain
  dcmq search export photos plain-texts --kind texts --without-faiss
  dcmq search export photos photos.parquet --thumbnails    # for DuckDB, Qdrant, Milvus and others
  dcmq search export photos photos.lance    # for LanceDB"""
)
def export(
    collection: Folder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder or file that does not exist yet.")],
    kind: Annotated[str, typer.Option(metavar="images|texts", help="What to export.")] = "images",
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="npy|parquet|lance", help="What to write.", show_default="by OUT's suffix, else npy"
        ),
    ] = "",
    without_faiss: Annotated[bool, typer.Option("--without-faiss", help="npy: write no index.faiss.")] = False,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", help="parquet, lance: a column of small JPEGs of the images.")
    ] = False,
    float16: Annotated[
        bool, typer.Option("--float16", help="parquet, lance: half the memory, scores rounded in their fourth digit.")
    ] = False,
) -> None:
    """Write codebooks, codes and ids as .npy files with an index for faiss, or as a table for databases."""
    from dcmq.codes.export import export_index
    from dcmq.search.collection import KINDS, Collection
    from dcmq.sharing.lance_export import export_lance
    from dcmq.sharing.parquet_export import export_parquet
    from dcmq.sharing.thumbnails import CollectionThumbnails

    tables = {"parquet": export_parquet, "lance": export_lance}
    suffix = out.suffix.removeprefix(".")
    form = require_known(form or (suffix if suffix in tables else "npy"), ("npy", *tables), "--format")
    require_known(kind, KINDS, "--kind")
    if form == "npy" and (thumbnails or float16):
        raise typer.BadParameter(
            "--format parquet or lance has this, npy has not", param_hint="'--thumbnails' / '--float16'"
        )
    if thumbnails and kind != "images":
        raise typer.BadParameter("only images have thumbnails", param_hint="'--thumbnails'")
    opened = Collection(collection)
    index = opened.load_index(kind)
    if form == "npy":
        export_index(index, out, not without_faiss)
    else:
        made = CollectionThumbnails(opened) if thumbnails else None
        tables[form](index, out, "float16" if float16 else "float32", made)
        if made and made.missing:
            print(f"no thumbnail   of {made.missing} that are no longer in {visible(opened.source)}", file=sys.stderr)
    print(f"{len(index)} {kind} written to {visible(out)}")


@app.command(
    epilog="""Examples:

  dcmq search serve photos
  dcmq search serve photos --port 0    # a free port
  dcmq search serve photos --host 0.0.0.0    # for other machines, which need the token that is printed"""
)
def serve(
    collection: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on. Any but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    token: Annotated[
        str,
        typer.Option(metavar="TOKEN", help="What requests must show.", show_default="one made at random, if needed"),
    ] = "",
    upload_mb: Annotated[float, typer.Option(min=0.001, help="Largest image of a request, in MB.")] = 20,
    upload_seconds: Annotated[float, typer.Option(min=0.1, help="In which all of it must arrive.")] = 10,
    waiting: Annotated[int, typer.Option(min=0, help="Searches that may wait for others; more are refused.")] = 64,
) -> None:
    """Search in the browser: keep the student in memory, and answer searches over HTTP until Ctrl-C."""
    import secrets

    from dcmq.core.errors import DcmqError
    from dcmq.search.held import HeldCollection

    if token and not re.fullmatch(r"[\w.~-]{8,}", token, re.ASCII):
        raise typer.BadParameter("8 or more letters, digits, or any of . _ ~ - are needed", param_hint="'--token'")
    try:
        from dcmq.search import listen
        from dcmq.search.server import Limits, search_app
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"starlette", "uvicorn", "python_multipart"}:
            raise
        raise DcmqError(f"dcmq search serve needs {package}: pip install 'dcmq[serve]'") from None
    local = listen.is_local(host)
    token = token or ("" if local else secrets.token_urlsafe(16))
    held, listening = HeldCollection(collection), listen.listening_socket(host, port)
    print(f"{listen.address(host, listening)}{f'?token={token}' if token else ''}")
    print("Ctrl-C stops it", file=sys.stderr)
    sys.stdout.flush()
    limits = Limits(round(upload_mb * 1e6), upload_seconds, waiting)
    listen.serve(search_app(held, token=token, local=local, limits=limits), listening)


@app.command(
    epilog="""Examples:

  dcmq search info photos"""
)
def info(collection: Folder) -> None:
    """Say what a collection holds, and which student made it."""
    from dcmq.search.collection import KINDS, Collection

    opened = Collection(collection)
    for kind in KINDS:
        index = opened.load_index(kind)
        lists = f", {index.nlist} lists, {index.nprobe} looked at" if index.nlist else ""
        place = f", of {visible(opened.source)}" if kind == "images" and opened.source else ""
        print(f"{kind:<10} {len(index)} of {index.bits} bits{lists}{place}")
    student, vocabulary = opened.model.config.student, opened.model.vocabulary
    encoders = f"{student.image_encoder} at {student.image_size} px, {student.text_encoder} over {student.text_input}"
    print(f"{'student':<10} {encoders}")
    print(f"{'words':<10} {len(vocabulary)}, such as {visible(', '.join(vocabulary[:12]))}")


def _threshold(opened, kind: str, asks: str, given: str) -> tuple[float, str]:
    """The score below which there is no hit, and what it means, for a line. Raises DcmqError where none was chosen."""
    from dcmq.core.errors import DcmqError

    if given != "chosen":
        try:
            least = float(given or -1)
        except ValueError:
            least = math.nan
        if not -1 <= least <= 1:
            raise typer.BadParameter(f"{given!r} is no score from -1 to 1, nor 'chosen'", param_hint="'--threshold'")
        return least, ""
    chosen = opened.threshold(kind, asks)
    if chosen is None:
        raise DcmqError(f"--threshold: none was chosen for {asks} that search among {kind}: give a score from -1 to 1")
    aimed, reached = f"{chosen['precision aimed at']:.0%}", f"{chosen['precision']:.0%}"
    return chosen["value"], f", chosen for {aimed} right pairs; {reached} on unseen items of the student's own data"


def _named(names: list[str], what: str) -> str:
    """The number of ``names``, ``what`` they are, and the first of them."""
    more = " ..." * (len(names) > _NAMED)
    return f"{len(names)} {what}: {visible(', '.join(names[:_NAMED]))}{more}"


def _text(path: Path, option: str) -> str:
    r"""The content of a text file, in which ``\n`` ends each line, as ``\r\n`` and ``\r`` do in the file. Raises DcmqError where it
    cannot be read."""
    from dcmq.core.errors import DcmqError

    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DcmqError(f"{option} {path}: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}") from None

"""``python -m dcmq.search``: make a folder of pictures searchable with a trained student, and search it."""

import argparse
import sys
from pathlib import Path

from dcmq.codes.export import export_index
from dcmq.codes.engines import ENGINES
from dcmq.codes.index import AUTO
from dcmq.core.errors import DcmqError
from dcmq.search.collection import KINDS, Collection


def build(options: argparse.Namespace) -> None:
    """Encode what is new."""
    if not options.pictures and not options.texts:
        raise DcmqError("build: say what to encode, with --pictures FOLDER or --texts FILE or both")
    folder = Path(options.collection)
    if options.run:
        from dcmq.search.runs import find_run, model_of

        there = Collection.create(folder, model_of(find_run(options.run)))
    else:
        there = Collection(folder)
    if options.pictures:
        added, gone, broken = there.update_images(options.pictures)
        print(
            f"{'pictures':<10} {added} added, {gone} forgotten because they are gone, {len(there.load_index('images'))} in all"
        )
        if broken:
            print(
                f"{'left out':<10} {len(broken)} that cannot be read: {', '.join(broken[:10])}{' ...' * (len(broken) > 10)}"
            )
    if options.texts:
        added, unread = there.add_texts(_lines(Path(options.texts)))
        print(f"{'texts':<10} {added} added, {len(there.load_index('texts'))} in all")
        if unread:
            print(f"{'left out':<10} {len(unread)} without a word that the student knows, such as {unread[0]!r}")
    if options.lists:
        for kind in KINDS:
            index = there.load_index(kind)
            if len(index):
                index.cluster()
                there.save_index(kind, index)
                print(f"{'lists':<10} {index.nlist} of {kind}: faster, and no longer exact")
    print(f"{'search it':<10} python -m dcmq.search query {folder} --text 'WORDS'")


def query(options: argparse.Namespace) -> None:
    """Print what is found."""
    there = Collection(options.collection)
    picture = Path(options.picture) if options.picture else None
    kind = options.among or ("images" if picture is None else "texts")
    hits = there.search(kind, text=options.text, image=picture, k=options.k, engine=options.engine)
    if unread := there.model.unknown_words(options.text):
        print(f"not known to the student: {', '.join(unread)}", file=sys.stderr)
    for hit in hits:
        print(f"{hit.rank:>4}  {hit.score:.3f}  {hit.id}")
    if options.sheet:
        if kind != "images" or there.root is None:
            raise DcmqError("--sheet shows pictures, and what was found are no picture files")
        from dcmq.search.sheet import contact_sheet

        contact_sheet(Path(options.sheet), options.text or f"like {options.picture}", there.root, hits)
        print(f"contact sheet  {options.sheet}")


def export_(options: argparse.Namespace) -> None:
    """Write plain files."""
    index = Collection(options.collection).load_index(options.kind)
    print(f"{len(index)} {options.kind} written to {export_index(index, options.out, not options.without_faiss)}")


def info(options: argparse.Namespace) -> None:
    """Print what a collection holds."""
    there = Collection(options.collection)
    for kind in KINDS:
        index = there.load_index(kind)
        lists = f", {index.nlist} lists" if index.nlist else ""
        print(f"{kind:<10} {len(index)} of {index.bits} bits{lists}")
    student = there.model.config.student
    print(
        f"{'student':<10} {student.image_encoder} at {student.image_size} px, {student.text_encoder} over {student.text_input}"
    )
    print(f"{'words':<10} {len(there.model.vocabulary)}, such as {', '.join(there.model.vocabulary[:12])}")


def _lines(path: Path) -> list[str]:
    """The lines of a text file that hold anything."""
    try:
        lines = [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DcmqError(f"--texts {path}: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}") from None
    return [line for line in lines if line]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dcmq.search", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, action, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(action=action)
        sub.add_argument("collection", help="folder of the searchable collection")
        return sub

    made = command("build", build, "encode pictures or texts that are new, and forget pictures that are gone")
    made.add_argument("--run", default="", help="trained run: its folder, or the beginning of its name or key; once")
    made.add_argument("--pictures", default="", help="folder of pictures, searched through with all its folders")
    made.add_argument("--texts", default="", help="UTF-8 file with a text in each line")
    made.add_argument("--lists", action="store_true", help="inverted lists, for many millions of items (needs faiss)")
    asked = command("query", query, "rank pictures for a text, or texts for a picture")
    what = asked.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", default="", help="words that the student knows")
    what.add_argument("--picture", default="", help="picture file")
    asked.add_argument("--among", choices=KINDS, help="what to rank, if not the other kind than the query is of")
    asked.add_argument("-k", type=int, default=10, help="how many (10)")
    asked.add_argument("--sheet", default="", help="PNG file for a contact sheet of the pictures found")
    asked.add_argument("--engine", choices=(AUTO, *ENGINES), default=AUTO, help="what searches (auto)")
    written = command("export", export_, "write codebooks, codes and ids as .npy files, and an index for faiss")
    written.add_argument("out", help="folder that does not exist yet")
    written.add_argument("--kind", choices=KINDS, default="images", help="what to export (pictures)")
    written.add_argument("--without-faiss", action="store_true", help="no index.faiss")
    command("info", info, "what a collection holds")
    return parser


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; 1 after an error, which is one line."""
    options = _parser().parse_args(arguments)
    try:
        options.action(options)
    except DcmqError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m dcmq.data``: prepare a data set once, verify what was prepared, say what it is."""

import argparse
import json
import sys
import warnings
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import full_name
from dcmq.data.datasets import PREPARED, data_folder, find_prepared
from dcmq.data.populations import DEFAULT, OFFICIAL
from dcmq.data.prepare import prepare, verify
from dcmq.data.prepared import description
from dcmq.data.source import Source


def read(name: str, root: Path, options: argparse.Namespace) -> Source:
    """The source of the population ``name`` in the layout found under ``root``."""
    plain, _, population = name.partition(":")
    if options.mat and plain != "folder":
        from dcmq.data.readers.matfiles import read_mat

        return read_mat(plain, population, root)
    if plain == "coco":
        from dcmq.data.readers.coco import read_coco

        return read_coco(root, tuple(filter(None, options.ignore_classes.split(","))))
    if plain == "mirflickr":
        from dcmq.data.readers.mirflickr import read_mirflickr

        return read_mirflickr(root, population)
    if plain == "nuswide":
        from dcmq.data.readers.nuswide import read_nuswide

        return read_nuswide(root, population)
    from dcmq.data.readers.folder import read_folder

    return read_folder(root, options.table)


def download(name: str, root: Path) -> None:
    """Fetch and unpack the official archives. Raises DcmqError for data sets that have none."""
    from dcmq.data.catalog import ARCHIVES
    from dcmq.data.downloads import download_all

    plain = name.partition(":")[0]
    if plain not in ARCHIVES:
        raise DcmqError(f"{plain} has nothing to download: leave --download out")
    download_all(ARCHIVES[plain], root)


def population_name(name: str) -> str:
    """``mirflickr`` to ``mirflickr:20015``. Raises DcmqError for an unknown data set or population."""
    plain, _, population = name.partition(":")
    whole = full_name(plain, population or DEFAULT.get(plain, ""))
    if plain not in PREPARED or (population and whole not in OFFICIAL):
        known = ", ".join(sorted({*OFFICIAL, "folder"}))
        raise DcmqError(f"there is no data set {name!r} to prepare (known: {known})")
    return whole


def summary(folder: Path, about: dict) -> str:
    """What a prepared folder holds, as lines of text."""
    official = full_name(about["name"], about["population"]) in OFFICIAL
    checked = (
        "agree with the published ones" if about["counts_checked"] and official else "not compared with published ones"
    )
    rows = {
        "data set": full_name(about["name"], about["population"]),
        "folder": folder,
        "counts": ", ".join(f"{value:,} {name}" for name, value in about["counts"].items()),
        "": f"counts {checked}",
        "left out": ", ".join(f"{value:,} {name}" for name, value in about["choices"]["dropped"].items()) or "nothing",
        "broken": ", ".join(about["left_out"]) or "none",
        "split": f"{about['split']} ({about['recipe']})",
        "fingerprint": about["fingerprint"],
        "choices": json.dumps({k: v for k, v in about["choices"].items() if k not in ("dropped", "content")}),
    }
    return "\n".join(f"{name:<12} {value}" for name, value in rows.items())


def main(arguments: list[str]) -> int:
    """Do what the command line asks for."""
    options = _parser().parse_args(arguments)
    try:
        return _obey(options, population_name(options.name))
    except PermissionError as error:
        raise DcmqError(f"{error.filename}: no permission; change that, or choose another --root or --out") from None


def _obey(options: argparse.Namespace, name: str) -> int:
    if options.command == "prepare":
        if options.download:
            download(name, Path(options.root).expanduser())
        root = data_folder(options.root, name)
        folder = Path(options.out).expanduser() if options.out else root / "prepared" / name.replace(":", "-")
        about = prepare(
            read(name, root, options),
            folder.resolve(),
            image_size=options.image_size,
            query=options.query,
            train=options.train,
            seed=options.seed,
            words=options.words,
            official=options.expect == "official",
            skip_missing=options.skip_missing,
        )
        print(summary(folder, about))
        print(f"{'use it':<12} -p dataset {name} -p data_root {folder}")
        return 0
    folder = find_prepared(options.name, data_folder(options.root, name))
    about = verify(folder) if options.command == "verify" else description(folder)
    print(summary(folder, about))
    if options.command == "verify":
        print(f"{'verified':<12} {len(about['files'])} files by SHA-256, index files, fingerprint")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dcmq.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (
        ("prepare", "read the official layout (or your own table), check its counts, decode its pictures"),
        ("verify", "read every byte of a prepared folder again"),
        ("info", "what a prepared folder holds"),
    ):
        sub = commands.add_parser(command, help=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument(
            "name", help=f"{', '.join(sorted({*OFFICIAL, 'folder'}))}; without population the first in the tables"
        )
        sub.add_argument("--root", required=True, help="where the files lie, or shall be put")
        if command != "prepare":
            continue
        sub.add_argument(
            "--download", action="store_true", help="fetch the official archives into ROOT and unpack them"
        )
        sub.add_argument("--out", default="", help="prepared folder (empty: ROOT/prepared/NAME)")
        sub.add_argument(
            "--expect", choices=("official", "none"), default="official", help="compare counts with published ones"
        )
        sub.add_argument("--query", type=int, help="queries; None: as published")
        sub.add_argument("--train", type=int, help="training samples; None: as published")
        sub.add_argument("--seed", type=int, default=0, help="of the split")
        sub.add_argument("--words", type=int, default=2026, help="vocabulary where texts are captions")
        sub.add_argument("--image-size", type=int, default=256, help="pixels a side that pictures are squashed to")
        sub.add_argument("--ignore-classes", default="", help="coco: comma-separated categories to leave out")
        sub.add_argument("--mat", action="store_true", help="read ready-made .mat files instead of the official layout")
        sub.add_argument("--table", default="", help="folder: the table, where there are several")
        sub.add_argument("--skip-missing", action="store_true", help="leave out samples whose picture is not on disk")
    return parser


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *_: f"note         {message}\n"
    try:
        sys.exit(main(sys.argv[1:]))
    except DcmqError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted: run the same command again to go on")

"""Run benchmarks, print their tables, and write them to ``reports/benchmarks`` (with ``--quick`` only if ``--out`` is given)."""

import argparse
import sys
from pathlib import Path

from benchmarks import BENCHMARKS, benchmark
from benchmarks.machine import description, machine
from benchmarks.page import table, write
from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, reports_dir


def main(arguments: list[str]) -> None:
    """Run what the command line names. Raises DcmqError for an unknown name, before anything runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run? Writes nothing without --out")
    parser.add_argument("--out", type=Path, help="folder to write to; default: reports/benchmarks")
    options = parser.parse_args(arguments)
    names = options.names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise DcmqError(f"no benchmark {unknown[0]!r} (known: {', '.join(BENCHMARKS)})")
    out = options.out or (None if options.quick else reports_dir() / "benchmarks")
    for name in names:
        module, facts = benchmark(name), machine()
        print(f"{module.TITLE}: {description(facts)}\n", flush=True)
        result = module.measure(options.quick)
        print(table(module.comparisons(result)))
        if out:
            write(out, name, {"benchmark": name, "quick": options.quick, "machine": facts, "result": result})
            print(f"written to {display_path(out)}\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except DcmqError as error:
        sys.exit(str(error))

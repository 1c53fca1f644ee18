"""``python -m dcmq.teachers check NAME``: whether the weights of a teacher are there, load, and are the right ones."""

import argparse
import sys

from dcmq.core.errors import DcmqError
from dcmq.teachers.base import Encoder
from dcmq.teachers.check import check, reference_for, verdict
from dcmq.teachers.registry import resolve_teacher, teacher_names


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns 0 for weights that are right or plausible, 1 for others."""
    parser = argparse.ArgumentParser(prog="python -m dcmq.teachers", description=__doc__)
    commands = parser.add_subparsers(required=True)
    asked = commands.add_parser("check", help="load a teacher's weights and tell whether they are the right ones")
    asked.add_argument("name", help=f"one of {', '.join(teacher_names())}")
    options = parser.parse_args(arguments)
    try:
        teacher = resolve_teacher(options.name, "photos")
        print(teacher.description)
        if not isinstance(teacher, Encoder):
            print("embeddings from a file: shapes, ids and numbers are in order; which model made them cannot be told")
            return 0
        found = check(teacher, reference_for(teacher.description))
    except DcmqError as error:
        print(error, file=sys.stderr)
        return 1
    print(verdict(found))
    return int(found.right is False)


if __name__ == "__main__":
    sys.exit(main())

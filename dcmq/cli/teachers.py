"""``dcmq teachers``: which teachers there are, and whether the weights of one are there and the right ones."""

import dataclasses
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="List the teachers, and check their weights.")


@app.command(
    name="list",
    epilog="""Examples:

  dcmq teachers list""",
)
def list_() -> None:
    """List all teachers: how each is named in a notebook, and what is known of it."""
    from dcmq.cli.console import print_table
    from dcmq.teachers.base import TeacherFacts
    from dcmq.teachers.registry import TEACHERS

    names = [field.name for field in dataclasses.fields(TeacherFacts)]
    facts = [*(name for name in names if name != "source"), "source"]  # the longest at the end
    rows = [
        [form, *(getattr(kind.description, fact) for fact in facts)]
        for kind in TEACHERS.values()
        for form in kind.forms
    ]
    print_table(["teacher", *facts], rows, left=len(facts) + 1)


@app.command(
    epilog="""Examples:

  dcmq teachers check clip
  dcmq teachers check open_clip:ViT-B-16/laion2b_s34b_b88k
  dcmq teachers check declip-rn50:~/weights/declip.pth"""
)
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in a notebook's teacher; see dcmq teachers list.")],
) -> None:
    """Load a teacher's weights and say whether they are the right ones. Exit code 1 where they are not."""
    from dcmq.teachers.check import check as check_weights
    from dcmq.teachers.check import reference_for, verdict
    from dcmq.teachers.registry import resolve_teacher

    teacher = resolve_teacher(name, "photos")
    print(teacher.description)
    result = check_weights(teacher, reference_for(teacher.description))
    print(verdict(result))
    if result.right is False:
        raise typer.Exit(1)

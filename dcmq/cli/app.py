"""The command ``dcmq``, and the one place where an error becomes a line."""

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from typer.core import TyperGroup

import dcmq
from dcmq.cli import data, export, push, reports, runs, search, teachers
from dcmq.cli.console import print_what_there_is, visible
from dcmq.core.errors import DcmqError

FAILED, INTERRUPTED = 1, 130  # exit codes, the second as shells have it for Ctrl-C
_SHOWN = 60  # letters of a name that is too long


class OneLineErrors(TyperGroup):
    """The outermost group of commands: what a user can cause ends in one line on stderr, and in an exit code."""

    def invoke(self, ctx: typer.Context) -> object:
        """Run the command. Raises typer.Exit with the code of what went wrong."""
        try:
            with _one_line_notes():
                result = super().invoke(ctx)
                sys.stdout.flush()  # here, where a reader that is gone leaves no trace
                return result
        except DcmqError as error:
            _say(str(error))
        except KeyboardInterrupt:
            _say("interrupted: run the same command again to go on")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # silent, and 1, as rich ends too
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        except OSError as error:
            if error.filename is None and error.errno != errno.ENOSPC:
                raise  # not a file's: a mistake of ours
            _say(_file_error(error))
        raise typer.Exit(FAILED)

    def main(self, *args, standalone_mode: bool = True, **extra) -> object:
        """Read the command line and run it. A wrong call is one line and exit code 2."""
        print_what_there_is()
        try:
            result = super().main(*args, standalone_mode=False, **extra)
        except typer.TyperException as error:
            if message := error.format_message():  # empty where the help was printed instead
                path = getattr(getattr(error, "ctx", None), "command_path", "dcmq")
                _say(f"{message.rstrip('. ')}; see {path} --help")
            result = getattr(error, "exit_code", FAILED)
        if not standalone_mode:
            return result
        sys.exit(result if isinstance(result, int) else 0)


@contextmanager
def _one_line_notes() -> Iterator[None]:
    """Warnings as lines of their message alone."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"note         {visible(message)}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _file_error(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{error.filename}: no permission; change that, or choose another folder"
    if error.errno == errno.ENOSPC:
        return f"{error.filename or 'the disk is full'}: no space left; free some, or choose another disk"
    if error.errno == errno.ENAMETOOLONG:
        name = os.fsdecode(error.filename)
        return f"{name[:_SHOWN]}...: a name of {len(name)} letters, too long for a file or folder; choose a shorter one"
    return f"{error.filename}: {error.strerror or type(error).__name__}"


def _say(message: str) -> None:
    """One line on stderr, whatever the message holds."""
    print(visible(" ".join(message.split())), file=sys.stderr)


app = typer.Typer(
    name="dcmq",
    cls=OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="""Exit codes:

  0    done
  1    it could not be done: one line on stderr says why (none where nobody reads the output, as in ... | head)
  2    a wrong call: one line on stderr says why
  130  interrupted

Start with:

  dcmq reports run quickstart
  dcmq data prepare mirflickr --root ~/mirflickr --download
  dcmq runs list --sort i2t --reverse --limit 10""",
)
for name, group in (("data", data), ("teachers", teachers), ("search", search), ("reports", reports), ("runs", runs)):
    app.add_typer(group.app, name=name)
app.command("push", epilog=push.EPILOG)(push.push)
app.command("export", epilog=export.EPILOG)(export.export)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"dcmq {dcmq.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """DCMQ: a vision-language teacher distilled into product-quantized codes for image-text retrieval."""

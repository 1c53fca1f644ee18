"""The command ``dcmq``, run in this process."""

from typer.testing import CliRunner, Result

from dcmq.cli.app import app
from dcmq.core.errors import DcmqError


def dcmq(*words: object) -> Result:
    """The result of a command: its ``exit_code``, ``stdout`` and ``stderr``."""
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def run_command(*words: object) -> str:
    """What a command prints. Raises DcmqError with its last line on stderr where it does not end well."""
    result = dcmq(*words)
    if result.exit_code:
        raise DcmqError(result.stderr.splitlines()[-1])
    return result.stdout

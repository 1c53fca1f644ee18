"""The one kind of error meant for the user's eyes."""


class DcmqError(Exception):
    """Bad input or a missing file: one line that says what is wrong, where, and what to do.

    In a notebook it is shown as that line alone, without a stack trace.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]

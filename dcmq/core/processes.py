"""What must hold before other processes are started."""

import sys


def mend_main() -> None:
    """Give ``__main__`` back the name that Python reads when it starts a process; IPython's ``%reset`` takes it away."""
    vars(sys.modules["__main__"]).setdefault("__spec__", None)

"""``python -m dcmq``, and the command ``dcmq``."""

import sys

try:
    from dcmq.cli.app import app
except KeyboardInterrupt:  # before anything has begun
    print("interrupted: run the same command again", file=sys.stderr)
    sys.exit(130)  # as shells have it for Ctrl-C


def main() -> None:
    """Run the command."""
    app(prog_name="dcmq")


if __name__ == "__main__":  # not where another process imports it
    main()

"""``python -m dcmq``: the command ``dcmq``."""

from dcmq.cli.app import app

if __name__ == "__main__":  # not where another process imports it
    app(prog_name="dcmq")

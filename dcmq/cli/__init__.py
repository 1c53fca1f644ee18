"""The command ``dcmq``: one file for each of its groups. Commands read the command line, call the library, and print; whatever they
do is elsewhere. Nothing slow is imported before a command runs, so that every ``--help`` is there at once."""

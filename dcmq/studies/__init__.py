"""One module per notebook: its parameters and runs, its figure, its judgement; and :mod:`.registry`, which knows them all.
What several share is in :mod:`dcmq.experiments.study` and :mod:`dcmq.reporting`."""

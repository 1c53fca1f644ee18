"""One module per notebook: its parameters and runs, its figure, its judgement. :mod:`.base` holds what they share."""

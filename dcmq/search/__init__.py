"""Search one's own pictures and texts with a trained student, and nothing else: no data set, no teacher."""

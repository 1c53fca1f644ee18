"""A search of one's own images and texts with a trained student, and nothing else: no data set, no teacher."""

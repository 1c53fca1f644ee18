"""``scenes``: a generated data set that needs no download, deterministic from a seed, and not easy: small drawn scenes
with labels, captions and Flickr-like tags."""

"""Frozen vision-language models by name, and their embeddings of a data set, computed once and kept."""

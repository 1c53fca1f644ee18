"""Retrieval: what a trained method must do to be ranked with, and how well it ranks: metrics by name, and paired tests over queries.
How codes are made and scored is elsewhere."""

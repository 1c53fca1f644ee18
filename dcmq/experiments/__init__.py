"""Experiments: a notebook's parameters, the plan of runs that follows from them, runs with their keys and records, several at a time,
and what a model costs."""

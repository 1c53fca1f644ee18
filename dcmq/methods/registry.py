"""All methods, on the same splits, encoders and evaluation, in the order of tables. To add one: a file here that registers it
(:func:`dcmq.methods.base.register_method`), and its import below."""

# isort: off (each registers itself, and their order is that of the tables)

# isort: on
from dcmq.methods.base import METHODS

__all__ = ["METHODS"]

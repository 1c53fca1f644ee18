"""All methods, on the same splits, encoders and evaluation, in the order of tables. To add one: a file here that registers it
(:func:`dcmq.methods.base.register_method`), and its name below."""

from importlib import import_module

from dcmq.methods.base import METHODS

# Each registers itself when it is imported, so their order is that of the tables.
for _module in ("dcmq.method", "product_quantization", "dcmh", "ssah", "cmhh", "cmmq", "dch_scr", "controls"):
    import_module(f"dcmq.methods.{_module}")

__all__ = ["METHODS"]

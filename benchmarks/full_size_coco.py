"""MS COCO 2017 at its full size, see :mod:`benchmarks.full_size`."""

from benchmarks import full_size

TITLE = "Full size: MS COCO 2017"
ABOUT = """
As for MIRFlickr, with the 123,287 images, instances and captions of MS COCO 2017.
"""
comparisons, figures = full_size.comparisons, full_size.figures
measure = full_size.FullSize("coco", "coco").measure

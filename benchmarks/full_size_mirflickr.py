"""MIRFlickr-25K at its full size, see :mod:`benchmarks.full_size`."""

from benchmarks import full_size

TITLE = "Full size: MIRFlickr-25K"
ABOUT = full_size.ABOUT
comparisons, figures = full_size.comparisons, full_size.figures
measure = full_size.FullSize("mirflickr", "mirflickr").measure

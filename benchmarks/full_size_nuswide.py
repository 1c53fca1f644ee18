"""NUS-WIDE at its full size, see :mod:`benchmarks.full_size`."""

from benchmarks import full_size

TITLE = "Full size: NUS-WIDE"
ABOUT = """
As for MIRFlickr, with the 269,648 rows of NUS-WIDE, of which population tc21 keeps 190,421.
"""
comparisons, figures = full_size.comparisons, full_size.figures
measure = full_size.FullSize("nuswide", "nuswide:tc21").measure

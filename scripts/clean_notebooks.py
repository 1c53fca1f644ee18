"""Take out of notebook files what only takes room or names this machine; ``make notebooks`` does so after it ran them.

    python scripts/clean_notebooks.py notebooks/*.ipynb

:func:`dcmq.reporting.clean_notebooks.clean` says what that is.
"""

import sys

import nbformat

from dcmq.reporting.clean_notebooks import clean

for path in sys.argv[1:]:
    nbformat.write(clean(nbformat.read(path, as_version=4)), path)

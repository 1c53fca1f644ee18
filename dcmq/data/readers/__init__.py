"""Readers of data sets in the layouts that their authors published, one file each: from files to a ``Source``."""

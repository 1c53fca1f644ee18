"""Readers of data sets in the layouts that their authors published, one file each, and of ``.mat`` files in
circulation. Each turns files into a ``Source``, which is then prepared."""

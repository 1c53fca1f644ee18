"""Data sets: readers of official layouts, the generated ``scenes``, decoding and resizing of images, bags of words,
splits, and prepared folders. What a model makes of them is elsewhere."""

"""DCMQ: a vision-language teacher distilled into product-quantised codes for image-text retrieval."""

__version__ = "0.1.0"

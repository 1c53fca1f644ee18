"""A searchable gallery of codes: packed codes under ids, searched exactly, with faiss, or by inverted lists."""

from dcmq.index.code_index import CodeIndex, encode, Found
from dcmq.index.export import export

__all__ = ["CodeIndex", "Found", "encode", "export"]

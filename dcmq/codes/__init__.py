"""Codes: which codeword each sub-vector takes, how codes are packed, how a query scores them, how the codebooks are used; and the
index of a gallery's codes with the engines that search it, and its export. Embeddings come from elsewhere, and so do codebooks."""

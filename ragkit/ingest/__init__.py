"""Stage 1: files become chunks with vectors in an index."""

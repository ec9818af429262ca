"""Does a passage say what a sentence says? Without a model."""

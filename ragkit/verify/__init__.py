"""An old answer, checked against the index and the files as they are now."""

"""The index on disk; see docs/format.md."""

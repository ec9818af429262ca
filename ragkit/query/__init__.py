"""Stage 2: a question becomes an answer that shows where it comes from."""

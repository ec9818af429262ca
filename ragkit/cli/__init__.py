"""The command line: parse, call the pipeline, print; errors become exit codes."""

"""An index in a folder of this machine: SQLite for what is known, files for vectors."""

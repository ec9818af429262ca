"""``python -m ragkit`` and the ``ragkit`` command."""

from ragkit.cli.app import main

if __name__ == "__main__":
    main()

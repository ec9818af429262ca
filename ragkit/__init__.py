"""ragkit: ask your own documents, on your own machine."""

from ragkit._version import __version__

__all__ = ["__version__"]

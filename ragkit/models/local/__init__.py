"""Models that run in this process, without a server."""

"""Tests of ragkit.store.remote; a package, so that its conftest.py has a name of its own."""

"""Tests of an index on a cluster."""

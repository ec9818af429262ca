"""Campaigns: kills, power cuts, damages and refused calls by the thousand; see README.md."""

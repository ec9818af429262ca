"""Campaigns: thousands of kills, power cuts, damages and refused calls, each judged; see README.md."""

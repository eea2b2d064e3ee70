"""Benchmarks, which ``make bench`` runs: each takes turns with a reference and ends by a ratio."""

"""Backtests at several cut-offs in a row: what a model is worth as it ages, and what it costs to refresh it."""

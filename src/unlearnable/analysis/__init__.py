"""Analyses of runs: task conflict and relative performance of multi-task runs."""

"""Kinds of tasks: losses, metrics, heads."""

"""Reads the formats in which peers exchange poisons."""

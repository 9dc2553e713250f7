"""The checks of `gpu_check.py`, a file a subject."""

"""Data sets, one file a source; images live as 8-bit tensors."""

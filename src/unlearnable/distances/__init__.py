"""From SAL arrays to numbers: pure functions."""

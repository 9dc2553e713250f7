"""The page and the figures of a sweep, from its results alone."""

"""Where metrics go besides the result file."""

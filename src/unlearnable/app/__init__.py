"""All that knows Hydra: the command line, a job, the end of a sweep."""

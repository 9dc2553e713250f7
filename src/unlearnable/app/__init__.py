"""What knows Hydra: the command line, a job, a sweep's end."""

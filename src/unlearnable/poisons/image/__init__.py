"""What poisons of images share."""

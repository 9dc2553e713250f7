"""What is measured of a model at the end of an epoch: SAL first, and others."""

"""What every measure needs: layers, the probe, replayed activations, a model given back as it was."""

"""What methods for texts share; the methods lie beside this folder, a file each."""

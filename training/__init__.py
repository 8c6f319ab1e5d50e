"""Training code for the weights that ship."""

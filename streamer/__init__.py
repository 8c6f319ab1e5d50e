"""Video in, anonymous video out."""

"""Networks behind protocols; knows nothing of video."""

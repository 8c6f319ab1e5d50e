"""Files of the web console."""

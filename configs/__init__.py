"""The configurations that ship with veilstream."""

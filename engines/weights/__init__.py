"""The weights this project trained, each beside its manifest."""

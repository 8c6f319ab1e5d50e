"""Offline work on models: export, verification, quantisation."""

"""Synthetic portraits (AI-generated people, CC0 1.0) that the demo video is made from.

Origin: faker-js/assets-person-portrait, commit 63aef57b5a839aebe3ad913ec7c76469aabbb6c5.
"""

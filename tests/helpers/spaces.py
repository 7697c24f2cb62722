"""Choices for search spaces whose supernets tests train."""

from scarlet_tf.arch import choices_from

# One of every kind, not in the supernet's order of slots: a step of few blocks is traced and compiled in seconds.
FEW_CHOICES = choices_from(["e3 k3", "e6 k5 se", "e3 k7", "let"])

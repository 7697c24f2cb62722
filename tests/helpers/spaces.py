"""Search spaces, and choices for others, whose supernets tests train."""

from scarlet_tf.arch import SearchSpace, choices_from

# One of every kind, not in the supernet's order of slots: a step of few blocks is traced and compiled in seconds.
FEW_CHOICES = choices_from(["e3 k3", "e6 k5 se", "e3 k7", "let"])

THREE_LAYER_SPACE = SearchSpace(
    name="tiny",
    out_channels=(8, 8, 12),
    strides=(1, 1, 2),
    choices=FEW_CHOICES,
    resolution=16,
    stem_channels=8,
    first_channels=8,
    tail_channels=16,
    classes=3,
    dropout=0.0,
)

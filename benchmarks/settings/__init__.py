"""Effect of supernet settings that the paper leaves open: shared gradients, LET initialisation, learning rates."""

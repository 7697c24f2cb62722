"""Parts of the fair step's benchmark: its network, the least work of a step, and the timing."""

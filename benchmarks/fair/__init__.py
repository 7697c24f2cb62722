"""Parts of benchmarks/fair_step.py: its network, the minimum work of a step, and the timing."""

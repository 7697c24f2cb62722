"""Machinery of long runs: checkpoints, the step loop, logs, interrupts, strategies and workers."""

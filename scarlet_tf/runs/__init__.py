"""What every long run needs: checkpoints, loop, log, interrupts, strategies, workers."""

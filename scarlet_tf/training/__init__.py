"""Training: strategies, schedules, checkpoints, run logs, and the stand-alone trainer."""

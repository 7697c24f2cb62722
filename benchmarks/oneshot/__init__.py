"""Searches of a trained supernet against uniform draws, and the time that evaluating models takes."""

"""Searches of a trained supernet against uniform draws, and the time to evaluate models."""

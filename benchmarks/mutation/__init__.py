"""Parts of benchmarks/search.py: objectives, methods, the cost of a generation, and the page."""

"""What benchmarks/search.py is made of: objectives, methods, the cost of a generation, and how it is shown."""

"""Parts of benchmarks/tflite_peers.py: the networks' files, their measurement, and the page."""

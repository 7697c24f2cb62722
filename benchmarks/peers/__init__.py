"""What benchmarks/tflite_peers.py is made of: networks' files, their measurement, and how it is shown."""

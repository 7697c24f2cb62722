"""Fine-tuning on photographs of solar cells: this project's recipes against a short plain Keras training."""

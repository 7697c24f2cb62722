"""Fine-tuning on photographs of solar cells: this project's recipe beside a short plain Keras training."""

"""Training of stand-alone networks: recipes, schedules, optimizers, validation, evaluation and the trainer."""

"""Many subjects, one trunk: where checkpoints come from."""

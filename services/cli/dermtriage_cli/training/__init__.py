"""What a user configures for a training run; training itself is the worker's."""

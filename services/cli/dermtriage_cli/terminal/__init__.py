"""What commands share towards people: options, and output on the two streams; no tables."""

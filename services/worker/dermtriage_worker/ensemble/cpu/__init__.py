"""What makes a forward pass fast on a CPU: fused convolutions, a traced graph. No GPU code."""

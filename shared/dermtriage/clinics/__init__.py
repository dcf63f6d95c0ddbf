"""What a clinic reads back of its own cases."""

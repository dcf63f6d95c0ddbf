"""The domain of dermtriage: how a photograph becomes a place in the worklist."""

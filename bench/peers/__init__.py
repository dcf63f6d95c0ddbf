"""Other systems that serve models, with the same members and the same photographs."""

"""Other systems that serve or run models, with our members on our photographs."""

"""Request and response bodies, a module per route module; the domain defines `CaseMetadata`."""

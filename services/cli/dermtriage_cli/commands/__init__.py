"""The commands, a module a group. Each imports what it needs only when it runs."""

"""The report of a rescore run: tables for the terminal, an HTML page, and the sentences of both."""

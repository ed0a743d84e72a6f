"""A study on one page: its schema, and its file."""

"""BOLD runs: found, read and cleaned."""

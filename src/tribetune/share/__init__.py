"""Adapters as folders that anyone can verify."""

"""Scores that survive a second look: identical samples, paired intervals, a verdict that can say no."""

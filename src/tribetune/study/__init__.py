"""The wiring: one function per verb of the command line, reading a recipe and calling the stages in order."""

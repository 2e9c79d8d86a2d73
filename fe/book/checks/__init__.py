"""Checks of the exercises: they test properties, and say what a failure points to."""

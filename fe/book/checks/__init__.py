"""Checks of the exercises: they test properties, and say what a failure points to.

Their problems are on the CPU, and so is what an answer makes, whatever torch's default device is.
"""

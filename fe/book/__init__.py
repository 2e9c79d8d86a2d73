"""What the book's notebooks need beside the library: their first lines, figures with sliders, and
the checks of the exercises.
"""

"""Sphinx extension of this book: leave out the fields of named tuples that say only "Alias for field number 0"."""


def skip(app, what, name, obj, skip, options):
    return True if str(getattr(obj, "__doc__", "") or "").startswith("Alias for field number") else None


def setup(app):
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}

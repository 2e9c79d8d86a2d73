"""Sphinx extension: the launch buttons of a chapter open its Colab edition, `colab/NN-name.ipynb`,
which holds no raw MyST.
"""


def setup(app):
    app.connect(
        "html-page-context", to_colab_edition, priority=502
    )  # the theme makes the buttons at 501
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def to_colab_edition(app, pagename, templatename, context, doctree):
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            for button in group["buttons"]:
                button["url"] = button["url"].replace(
                    f"/{pagename}.ipynb", f"/{pagename.replace('book/', 'colab/', 1)}.ipynb"
                )

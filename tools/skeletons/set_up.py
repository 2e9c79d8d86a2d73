# Set-up: HOW. Installs the book's small library `fe` and POT
# where they are missing, and leaves torch alone.
# CHOICES
import importlib.util
import os
import subprocess
import sys

package = os.environ.get(WHEEL)
missing = [
    name
    for module, name in (("fe", package), ("ot", "pot"))
    if importlib.util.find_spec(module) is None
]
if "" in missing:
    raise SystemExit(
        "`fe` is not installed, and this copy of the book does not say "
        "where to get it: run `pip install -e .` in the book's folder"
    )
if missing:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", *missing]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip does not say why"])[-1]
        raise SystemExit(
            f"The chapter cannot run: pip could not install "
            f"{' and '.join(missing)}. {why}"
        )
    importlib.invalidate_caches()

from fe.book import notebook

device, scale = notebook.start(
    GIVEN,
)

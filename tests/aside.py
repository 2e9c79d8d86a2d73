"""A process of its own for what must have one, forked from this one: it need not import torch,
Sphinx or pytest again, which would take seconds.
"""

import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[1]


def aside(function, *arguments, cwd=None, env=None):
    """`function(*arguments)` in a process of its own; returncode, stdout and stderr as
    `subprocess.run` gives them.

    Args:
        env: Environment variables that differ there.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        _, status = os.waitpid(begin(function, *arguments, cwd=cwd, env=env, out=out, err=err), 0)
        said = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    return subprocess.CompletedProcess([], os.waitstatus_to_exitcode(status), *said)


def begin(function, *arguments, cwd=None, env=None, out=subprocess.DEVNULL, err=subprocess.DEVNULL):
    """The same, begun only: its process id. It leads a session of its own, as what a terminal
    starts.
    """
    sys.stdout.flush(), sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        # where tests run in the background of a shell, Ctrl-C is ignored, and that is inherited
        signal.signal(signal.SIGINT, signal.default_int_handler)
        null = os.open(os.devnull, os.O_RDWR)
        for number, file in ((0, null), (1, out), (2, err)):
            os.dup2(null if file == subprocess.DEVNULL else getattr(file, "fileno", int)(), number)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))
        os.chdir(cwd or ".")
        os.environ.update(env or {})
        code = int(function(*arguments) or 0)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):  # words
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def afresh(*folders):
    """Of this project nothing is imported yet, and what will be is looked for in `folders`."""
    ours = [ROOT / name for name in ("fe", "tools", "tests", "conftest.py")]
    for name, module in list(sys.modules.items()):
        file = pathlib.Path(getattr(module, "__file__", None) or "/")
        if any(path == file or path in file.parents for path in ours):
            del sys.modules[name]
    sys.path[:] = [*map(str, folders), *(p for p in sys.path if pathlib.Path(p) not in ours)]


def script(path, *arguments):
    """`python PATH ARGUMENTS`."""
    afresh(pathlib.Path(path).parent)
    sys.argv = [str(path), *map(str, arguments)]
    runpy.run_path(str(path), run_name="__main__")


def module(name, *arguments, folders=()):
    """`python -m NAME ARGUMENTS`, with PYTHONPATH at these folders."""
    afresh(*folders)
    sys.argv = [name, *map(str, arguments)]
    runpy.run_module(name, run_name="__main__", alter_sys=True)

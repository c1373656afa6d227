"""The verbs of ``hsnn-compile``, one a file.

Each module has ``add(verbs)``, which declares its arguments, and ``run(args, console) -> int``, which builds
a plain result first and renders it second, so that ``--json`` and the text show the same figures. What is
heavy is imported inside functions: ``hsnn-compile --help`` loads nothing but argparse.
"""

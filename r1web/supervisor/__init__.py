"""One command that sets up the site and keeps its processes running.

`bootstrap` and all it imports use the standard library alone: they run before the site's own environment
exists. `__main__` and the rest run inside that environment.
"""

"""Real servers for the tests of remote reads, one file each, and one of our own that misbehaves on demand.

`fixtures.py` starts them: each listens on a free port of 127.0.0.1, keeps its data in a temporary folder, and is killed
at the end. A server that is not installed fails the tests that need it; nothing is skipped.
"""

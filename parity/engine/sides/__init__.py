"""What runs in the process of one side: a half that is built, given weights, run, watched and trained.

Start with workers.py and server.py (the process), then runner.py, tracer.py and choices.py.
"""

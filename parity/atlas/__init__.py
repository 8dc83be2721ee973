"""The semantics atlas: where PyTorch and Jittor mean different things, as a catalogue that can be run.

entry.py says what an entry is, catalogue/ holds them, snippets.py runs one piece of code in a worker, judge.py compares
what came out and remembers it (atlas.json), page.py renders docs/atlas.md. conformance.py draws random index
expressions; lint.py warns where code uses a spelling that the atlas knows to be dangerous.
"""

"""What is handed about: trees of arrays, names of nodes and places, records and how they travel.

The lowest layer, without judgement. Start with tree.py and nodes.py, then record.py and transport.py.
"""

"""The harness that says whether the two implementations agree, and the suite `pytest parity/`."""

"""Worked examples of ports, each in a right version and with realistic defects that parity must tell; see README.md."""

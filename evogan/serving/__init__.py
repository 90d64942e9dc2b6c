"""What is common to pages that a machine serves: who may ask, at which port, in which browser.

Light, for `--help`: what needs a server's packages is imported by name.
"""

WATCH_PORT, LAB_PORT = 8686, 8787  # the first that are tried

"""The largest numbers that are taken, from a command line as from a stranger's bundle.

Larger ones are slips of the hand, or attacks. They stand apart because importing them costs the help nothing.
"""

MAX_EXAMPLES = 10_000
"""Most examples of a fingerprint."""
MAX_CANDIDATES = 2 * MAX_EXAMPLES
"""Most candidates that a fingerprint may have taken: what its null costs grows with them."""
MAX_STEPS = 10**6
"""Most gradient steps."""
MAX_DRAWS = 10**4
"""Most draws of noise in a step."""
MAX_SEED = 2**63 - 1
"""Largest seed of a derivation."""
MAX_VALUES_PER_EXAMPLE = 2**24
"""Most values of one example: an image of 2,300 by 2,300 pixels. What a stranger's file may make the reader compute."""

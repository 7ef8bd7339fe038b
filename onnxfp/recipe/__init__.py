"""What fixes a fingerprint: the recipe, its defaults, and the derivation of seeds and labels. Needs numpy alone."""

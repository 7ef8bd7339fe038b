"""Making variants, asking them and the references, and putting the record together."""

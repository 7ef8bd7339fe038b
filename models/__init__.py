"""The trained models of this repository, and how they were made."""

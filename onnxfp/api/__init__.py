"""The public calls. Each composes stages of the rooms below; the package itself exports them.

- ``generation``: generate and check, by the owner of a model.
- ``verification``: verify. ``evaluation``: evaluate.
- ``bundles``: load, export, and the figures of a bundle alone.
- ``attestation``, ``timestamping``, ``keys``, ``trust``: signed reports, dates, key pairs, the trust store.
"""

"""The documents that onnxfp writes: reports of verifications and evaluations, and attestations."""

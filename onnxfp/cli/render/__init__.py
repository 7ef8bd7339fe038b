"""What commands print, and the pages that they write: the facts of :mod:`onnxfp.report.facts` on a terminal."""

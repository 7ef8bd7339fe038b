"""``python -m onnxfp`` is ``onnxfp``."""

import sys

from onnxfp.cli import main

sys.exit(main())

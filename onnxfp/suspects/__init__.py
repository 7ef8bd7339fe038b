"""Every way to ask a suspect. A suspect is a black box: inputs go in, labels (and perhaps scores) come out."""

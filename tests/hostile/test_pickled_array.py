"""An array of objects, which numpy would unpickle: code of the attacker's."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.signing import member_digest, sign_members
from onnxfp.bundle.writer import SIGNATURE, pack
from onnxfp.errors import BundleFormatError


class Payload:
    opened = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (Payload, "opened", True))


def test_a_pickle_is_never_opened(members: dict[str, bytes], forge: Any) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([Payload()] * 6, dtype=object), allow_pickle=True)
    forged = {**members, "labels.npy": stream.getvalue()}
    # The attacker signs it with a key of their own: the signature is no protection here.
    digests = {name: member_digest(content) for name, content in forged.items() if name != SIGNATURE}
    forged[SIGNATURE] = sign_members(digests, forge.signer)
    with pytest.raises(BundleFormatError, match=r"labels\.npy is not a int64 array"):
        parse_bundle(pack(forged))
    assert not Payload.opened

"""Random damage, the same for the same seed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from copy import deepcopy
from typing import Any


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to five pieces changed, removed, added, copied, or cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at, n = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(6):
            case 0:
                data[at : at + n] = rng.randbytes(n)
            case 1:
                del data[at : at + n]
            case 2:
                data[at:at] = rng.randbytes(n)
            case 3:
                source = rng.randrange(len(data) + 1)
                data[at : at + n] = data[source : source + n]
            case 4:
                data[at : at + n] = rng.choice((b"\0", b"\xff", b"0", b"9", b'"', b"PK\x01\x02")) * n
            case _:
                data = data[:at] if rng.random() < 0.2 and at else data + rng.randbytes(1)
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**63,
    -(2**63),
    10**300,
    0.5,
    -0.0,
    1e-320,
    1e308,
    "",
    "0",
    "\x1b",
    [],
    {},
    [[]],
)


def mutate_json(text: bytes, rng: random.Random) -> bytes:
    """Return JSON in canonical form with one to three values replaced, removed, or moved."""
    value = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        holder, key = rng.choice(places)
        match rng.randrange(5):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[key + rng.choice(("", "x", "\0"))] = deepcopy(rng.choice(STRANGE))
            case 2:
                other, name = rng.choice(places)
                holder[key] = deepcopy(other[name])
            case 3 if isinstance(holder[key], str):
                holder[key] = mutate(holder[key].encode() or b"0", rng).decode("latin-1")
            case 4 if type(holder[key]) is int:
                holder[key] += rng.choice((-1, 1, 2**31))
            case _:
                holder[key] = deepcopy(rng.choice(STRANGE))
        if not value:
            break
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def put_strange_values(value: Any, strange: Sequence[Any], rng: random.Random) -> None:
    """Put one to three strange values into a JSON value, mostly deep inside it.

    Args:
        value: A dictionary that holds something; it is changed.
        strange: What to choose from.
        rng: What chooses.
    """
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = value
        while True:
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.8:
                place = place[key]
            else:
                break
        place[key] = deepcopy(rng.choice(strange))


def _places(value: Any) -> Any:
    """Yield every place within lists and objects: the holder, and the key or position."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])

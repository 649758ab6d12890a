"""Which fault when: a pack of all kinds, shuffled by the seed, dealt again when it is through."""

from collections.abc import Iterator, Sequence
from random import Random


def deal(kinds: Sequence[str], seed: str) -> Iterator[str]:
    """Deal kinds for ever; each comes once before any comes again."""
    random = Random(f"{seed}/schedule")
    while True:
        pack = list(kinds)
        random.shuffle(pack)
        yield from pack

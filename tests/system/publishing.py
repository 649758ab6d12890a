"""Publishing as a service does, for system tests."""

from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from tests.servers import linked


async def publish(server: EmbeddedServer, subject: str, count: int, start: int = 0) -> list[int]:
    """Publish ``{"n": start}``, ``{"n": start + 1}``, ...; returns their sequences."""
    async with linked(server, user="publisher") as link, Publisher(link) as publisher:
        acks = [await publisher.hand_over(subject, {"n": start + n}) for n in range(count)]
        return [(await ack).seq for ack in acks]

"""Shell: how fast one process publishes with acknowledgements, and what an event costs it.

The publisher has the measured core, nats-server the others. nats-py's own ``publish_async`` stands beside ours.
"""

from bench.cases.course import each_way
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Child, Failed, cpu_s
from bench.progress import say
from bench.way import Site, Way
from bench.ways.jetstream import JetStream

CASE = "publishing"
WAYS = {"plain": "tidewire", "sealed": "tidewire, two sealed classes", "nats-py": "nats-py"}
"""What the process is told, and the row of the table."""


async def publishing(site: Site, plan: Plan) -> list[Measurement]:
    """Plain, with two sealed classes in each event, and nats-py alone."""

    async def one(_: Way) -> list[Measurement]:
        jetstream = JetStream(site)
        try:
            await jetstream.start()
            log = jetstream.folder / "publish-speed.log"
            async with Child("bench.publish_speed", on=site.measured_on, log=log) as service:
                return [await _one(plan, jetstream, service, do) for do in WAYS]
        finally:
            await jetstream.stop()

    return await each_way(site, plan, CASE, ("tidewire",), one)


async def _one(plan: Plan, jetstream: JetStream, service: Child, do: str) -> Measurement:
    say(f"publishing: {WAYS[do]}, {plan.published} events")
    nats = jetstream.nats
    before_s, access = cpu_s(jetstream.pid()), {"url": nats.url, "password": nats.password("publisher").reveal()}
    told = await service.ask(plan.patience_s, do=do, events=plan.published, **access)
    if told["stored"] != plan.published or told["repeated"]:
        raise Failed(f"{told['stored']} of {plan.published} events were stored, {told['repeated']} attempts repeated")
    return Measurement(
        case=CASE,
        way=WAYS[do],
        values={
            "events_per_s": plan.published / told["seconds"],
            "server_us": told["cpu_s"] / plan.published * 1e6,
            "broker_us": (cpu_s(jetstream.pid()) - before_s) / plan.published * 1e6,
        },
        note="server is the publisher",
    )

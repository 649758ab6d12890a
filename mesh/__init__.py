"""The pipes: the NATS connection, streams, buckets, the feed and publishing. NATS is named on this floor only."""

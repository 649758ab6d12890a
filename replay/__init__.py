"""The memory: positions, the recent window, catch-up, the durable consumer and the cursor."""

"""The long run: faults on real processes by a seeded schedule, and an oracle that knows what each client is due."""

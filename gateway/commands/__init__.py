"""The commands of `tidewire`, one module each; ``gateway.cli`` imports the one that is called."""

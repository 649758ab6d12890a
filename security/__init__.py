"""The locks: tokens, permissions, sealing, keys and TLS. cryptography and joserfc are named on this floor only."""

"""Shell: tries any gateway against the session protocol: ``python -m tests.conformance URL --token-file FILE``.

Nothing of the product is imported: what a gateway must do is in tests/vectors/gateway_wire.json and frames.json.
"""

"""Clients of engines. `drivers.open_driver` picks the one for an endpoint's kind; this module loads none of them."""

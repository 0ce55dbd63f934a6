"""Gardu: the agent on a city's gateways."""

__version__ = "0.1.0"

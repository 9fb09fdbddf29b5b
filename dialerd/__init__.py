"""dialerd: an outbound dialer that lives beside Asterisk."""

__version__ = "0.1.0"

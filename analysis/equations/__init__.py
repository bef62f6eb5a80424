"""The equations that a trace states: read, evaluated, compared, and put together."""

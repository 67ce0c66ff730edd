"""Sessions: an environment of a driver's own, and the stream on which it is driven."""

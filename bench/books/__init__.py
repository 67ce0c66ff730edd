"""What measurements of the order book share: random messages and the invariants that hold whatever they say."""

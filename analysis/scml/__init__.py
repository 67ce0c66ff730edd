"""What runs of the supply-chain game left behind: looked at, and checked."""

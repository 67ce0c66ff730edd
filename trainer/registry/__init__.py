"""The registry: the store of policy versions. The trainer publishes, agent services watch."""

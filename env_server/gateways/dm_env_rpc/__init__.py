"""dm_env_rpc v1: its clients create worlds, join one as an agent, and step."""

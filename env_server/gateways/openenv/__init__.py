"""The OpenEnv door: one agent of a game over HTTP, WebSocket and MCP, in JSON.

The routes are our own and not those of ``openenv-core``, whose installation asks for a web interface and the software
of several model vendors; what they say on the wire is held against that package's own client and checker.
"""

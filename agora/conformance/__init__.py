"""What an outside author runs to learn whether an agent or an environment server keeps the contract.

``agora check agent ADDRESS`` and ``agora check env ADDRESS`` run small cases over raw messages and never through a
client library, so that they can send what no client would.
"""

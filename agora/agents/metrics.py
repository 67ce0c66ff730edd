"""What an agent service counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_FAST = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5, 1.0, 5.0)

FRAMES = Counter("agora_agent_frames_total", "Frames answered with decisions.")
ROWS = Counter("agora_agent_rows_total", "Decisions made.", ("policy_id",))
SECONDS = Histogram("agora_agent_decide_seconds", "Time from a frame's arrival to its answer.", buckets=_FAST)
REFUSED = Counter("agora_agent_refused_total", "Hellos and frames refused, by reason.", ("reason",))
VERSION = Gauge("agora_agent_version", "Serving version, part 'epoch' or 'step'.", ("policy_id", "part"))
LOADS = Counter("agora_agent_loads_total", "Versions loaded, by outcome.", ("policy_id", "outcome"))

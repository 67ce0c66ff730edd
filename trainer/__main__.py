"""``python -m trainer``: the learner of one run, in a process of its own."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
import yaml
from grpc.aio import Server

from agora.service import Listening, run, serve
from trainer.assemble import assemble


@dataclass(frozen=True)
class TrainerSettings:
    """Train the agents of one run, to an equilibrium or for return; resumes from RUN/checkpoint by itself."""

    run_directory: Path
    """The run's folder; its config.yaml says what to train."""
    registry: str
    """Address of the policy registry."""
    env_server: Annotated[list[str], tyro.conf.UseAppendAction]
    """Address of an environment server; may be given several times."""
    agent: Annotated[list[str], tyro.conf.UseAppendAction]
    """AGENT=ADDRESS[,ADDRESS...]: who answers for an agent; once per agent."""
    where: Listening = field(default_factory=Listening)


async def main(settings: TrainerSettings) -> None:
    """Train; health, reflection and metrics are served meanwhile."""
    torch.set_num_threads(1)
    config = yaml.safe_load((settings.run_directory / "config.yaml").read_text())
    seats = dict(_seat(text) for text in settings.agent)
    finished = asyncio.Event()

    async def work() -> None:
        try:
            training = await assemble(settings.run_directory, config, settings.registry, settings.env_server, seats)
            await training.run()
        finally:
            finished.set()

    def register(server: Server, address: str) -> None:
        return None

    task = asyncio.create_task(work())
    await serve(settings.where, register, (), until=finished)
    if not task.done():
        # Learning computes in a thread that cannot be interrupted; the last checkpoint is what counts.
        os._exit(0 if task.cancelled() else 143)
    task.result()


def _seat(text: str) -> tuple[str, list[str]]:
    agent, _, addresses = text.partition("=")
    return agent, addresses.split(",")


if __name__ == "__main__":
    chosen = tyro.cli(TrainerSettings, config=(tyro.conf.OmitArgPrefixes,))
    run(lambda: main(chosen), "trainer")

"""Policies as MLServer hosts them.

This file is copied into a model repository and runs in MLServer's own environment: it imports nothing of this project.
"""

import asyncio

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Policy(MLModel):
    """What all here share: arrays in, arrays out."""

    async def predict(self, payload):
        seen = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        answers = await self.answer(seen, self.settings.parameters.extra)
        outputs = [NumpyCodec.encode_output(name, values) for name, values in answers.items()]
        return InferenceResponse(model_name=self.name, outputs=outputs)


class Prices(Policy):
    """Prices that are linear in what a station sees; batches of some sizes go wrong."""

    async def answer(self, seen, extra):
        rows = len(seen["own_charging_flow"])
        await asyncio.sleep(30 if rows == extra.get("slow_rows") else 0)
        mean = seen["last_round_all_prices"].mean(axis=1) @ np.array(extra["weights"], np.float32)
        mean = (mean + np.float32(extra["slope"]) * seen["own_charging_flow"]).astype(np.float32)
        if rows == extra.get("nan_rows"):
            mean[-1, -1] = np.nan
        return {extra.get("answers", "mean"): mean}


class Constants(Policy):
    """The same for every row, in the datatypes of the outputs' metadata; counts decisions where there is memory."""

    async def answer(self, seen, extra):
        dtypes = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}
        declared = {tensor.name: dtypes[tensor.datatype] for tensor in self.settings.outputs}
        rows = len(next(iter(seen.values())))
        answers = {name: np.array([row] * rows, declared[name]) for name, row in extra["rows"].items()}
        return answers | ({"next_memory": seen["memory"] + np.float32(1)} if "memory" in seen else {})

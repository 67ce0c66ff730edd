# SPDX-License-Identifier: AGPL-3.0-or-later
"""The supply-chain league's own engine, as a process: only code here imports scml and negmas, nobody imports it."""

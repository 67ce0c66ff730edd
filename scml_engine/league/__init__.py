# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tournaments: many worlds in a pool of processes, and what their scores say."""

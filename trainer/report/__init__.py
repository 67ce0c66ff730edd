"""The report of a run: one HTML file that opens offline.

``data``, ``metrics`` and ``trajectories`` read a run folder, however early it was cut off; ``panels`` and ``learning``
turn it into figures (plain plotly JSON), ``summary`` into words and tables, ``page`` into the file.
"""

from trainer.report.page import write_report

__all__ = ["write_report"]

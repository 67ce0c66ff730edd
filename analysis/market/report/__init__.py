"""A market's section of a run's report: figures and tables of the newest episodes, as JSON that the page draws."""

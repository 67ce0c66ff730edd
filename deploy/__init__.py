"""Starting a whole experiment on one machine: the ``agora`` command."""

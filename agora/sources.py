"""What compiled code is made of.

numba's cache notices a change of the file of a cached function, but not of the files of what that function calls; it
does notice what a function encloses. So an entry point encloses the digest of all its sources, and is compiled anew
when one of them has changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def digest(*folders: Path) -> str:
    """A hash of the Python files in some folders, in hexadecimal."""
    files = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()

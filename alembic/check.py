"""Fails where the migrations do not make exactly the tables of `store/tables.py`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Bring an empty database to head and compare it with the metadata."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/empty.sqlite"
        environment = os.environ | {"NEGSPACE_ALEMBIC_URL": url}
        for action in (["upgrade", "head"], ["check"]):
            command = [str(Path(sys.executable).with_name("alembic")), *action]
            code = subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())

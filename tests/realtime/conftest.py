"""LSL for tests: this machine alone, and a session of our own."""

import os
import tempfile
from pathlib import Path

# Read by LSL when it is first used in a process, and by the processes started here.
_FILE = Path(tempfile.mkdtemp(prefix="lsl-")) / "lsl_api.cfg"
_FILE.write_text(
    # Fourteen outlets and as many resolvers need more than the usual 32 ports.
    "[ports]\nIPv6 = disable\nPortRange = 128\n"
    "[multicast]\nResolveScope = machine\n"
    f"[lab]\nSessionID = tests-{os.getpid()}\n"
    "[log]\nlevel = -3\n",
    encoding="utf-8",
)
os.environ["LSLAPICFG"] = str(_FILE)

"""What other libraries do where this one promises something: the same short programs, each of the libraries in turn.

python tests/reliability/peers.py        # needs `pip install --group bench`; make reliability-peers
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import remote, simple
from reliability.libraries import LIBRARIES, installed
from servers.faults import FaultServer

SECONDS = 20

HEAD = """
import asyncio, os, signal, sys, threading, time, warnings
import numpy as np
{library}
warnings.simplefilter("ignore")
array = opened(sys.argv[1])

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(8)  # a child that hangs
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

PROGRAMS = {
    "read, fork, read in the child": """
read(array, np.s_[0:20])
print("the child ended with", in_child(lambda: read(array, np.s_[0:20])))
""",
    "read in a loop, fork, a loop in the child": """
async def main():
    return await start(array, np.s_[0:20])
asyncio.run(main())
print("the child ended with", in_child(lambda: asyncio.run(main())))
""",
    "fork in the middle of reads": """
async def main():
    reads = [start(array, np.s_[row : row + 1]) for row in range(90)]
    await asyncio.sleep(0)
    status = in_child(lambda: read(array, np.s_[0:20]))
    await asyncio.gather(*reads)
    return status
print("the child ended with", asyncio.run(main()))
""",
    "a chunk that claims a terabyte": """
try:
    read(array, np.s_[0:20])
except Exception as error:
    print("error:", type(error).__name__)
""",
    "Ctrl-C while the server is silent": """
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    read(array, np.s_[0:20])
except KeyboardInterrupt:
    print("ended within a second:", time.monotonic() - begun < 1.3, flush=True)
os._exit(0)
""",
}
TERABYTE = struct.pack("<IBQ", 0xFD2FB528, 0xE0, 1 << 40) + b"\x01\x00\x00" * 3


def outcome(library: str, program: str, where: str) -> str:
    code = HEAD.format(library=textwrap.dedent(LIBRARIES[library])) + PROGRAMS[program]
    try:
        command = [sys.executable, "-c", code, where]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode < 0:
        return f"ends by signal {-done.returncode}"
    last = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    return " ".join([done.stdout.strip(), *last])[:100]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, FaultServer() as server:
        good = simple.store(Path(folder) / "good", simple.random_array((95, 63)) + 1, (10, 7))
        bad = simple.store(Path(folder) / "bad", simple.random_array((95, 63)) + 1, (10, 7))
        for file in bad.chunk_files():
            file.write_bytes(TERABYTE)
        remote.serve(server, good, "silent")
        server.rule("silent/c/*", silent=True)
        remote.serve(server, good, "good")
        for program in PROGRAMS:
            places = {"local": str(good.path), "HTTP": server.url("good")}
            if "terabyte" in program:
                places = {"local": str(bad.path)}
            if "silent" in program:
                places = {"HTTP": server.url("silent")}
            for store, where in places.items():
                said = {library: outcome(library, program, where) for library in installed()}
                print(json.dumps({"program": program, "store": store} | said, indent=1), flush=True)


if __name__ == "__main__":
    main()

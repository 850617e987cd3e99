"""What a report of a large store may cost: under 20 s, 500 MB and a file of 6 MB.

    python bench/store/check.py FOLDER target/release/orchestrator
"""
import resource
import subprocess
import sys
import time
from pathlib import Path

folder, orchestrator = Path(sys.argv[1]), sys.argv[2]
began = time.monotonic()
subprocess.run([orchestrator, "report", folder], check=True, stdout=subprocess.DEVNULL)
seconds = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
memory, processor = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
size = (folder / "report.html").stat().st_size / 1e6
print(f"{seconds:.1f} s ({processor:.1f} s of a processor), {memory:.0f} MB, a file of {size:.2f} MB")
# On the clock of a machine that does other things, processor time is what can be held to.
assert processor < 20 and memory < 500 and size < 6

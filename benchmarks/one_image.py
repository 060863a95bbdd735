"""Read one image file and bring it into MNIST's form; print what came of it, time and memory, JSON.

    python benchmarks/one_image.py FILE

In a process of its own, whose memory nothing else has used. Needs Linux's /proc.
"""

import json
import re
import sys
import time
from pathlib import Path

from digitflow.errors import ImageError
from digitflow.images.normalising import normalise
from digitflow.images.reading import read_image


def main() -> None:
    """Read the file that the command line names."""
    # The processor's time: what else runs on the machine does not count.
    before, started = peak_of_memory(), time.process_time()
    try:
        normalise(read_image(sys.argv[1]).pixels)
        outcome = "read"
    except ImageError as error:
        outcome = error.reason
    seconds = time.process_time() - started
    megabytes = (peak_of_memory() - before) / 1e6
    told = {"outcome": outcome, "seconds": round(seconds, 3), "megabytes": round(megabytes, 1)}
    print(json.dumps(told))


def peak_of_memory() -> int:
    """Return the most memory this process has held so far, bytes."""
    # Not `resource.getrusage`: there a process inherits the peak of the one that started it.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


if __name__ == "__main__":
    main()

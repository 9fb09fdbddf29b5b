"""Windows in another interpreter: one task a line comes in, one outcome a line goes out.

The simulator is plain Python and draws the same luck everywhere, so a faster interpreter finds the same figures.
"""

import json
import shlex
import subprocess
import sys
import threading
from dataclasses import asdict

from bench.shifts import Outcome, Task, run


class Interpreter:
    """Runs windows in processes of `command`, one for each thread that asks. Raises RuntimeError when one dies."""

    def __init__(self, command: str) -> None:
        self._command = [*shlex.split(command), "-m", "bench.worker"]
        self._mine = threading.local()

    def __call__(self, task: Task) -> Outcome:
        if not hasattr(self._mine, "process"):
            self._mine.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        process = self._mine.process
        try:
            process.stdin.write(json.dumps(asdict(task)) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died; nothing is read, then
        reply = process.stdout.readline()
        if not reply:
            raise RuntimeError(f"{shlex.join(self._command)} ended with status {process.wait()}; see above why")
        return Outcome(**json.loads(reply))


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asdict(run(Task(**json.loads(line))))), flush=True)

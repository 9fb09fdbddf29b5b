"""`python -m lab`: a lab by itself, until Ctrl+C. Prints where things are; secrets stay in the files named."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from lab.asterisk import AsteriskFailed
from lab.lab import Lab
from lab.ports import NoFreePorts
from lab.subscribers import Subscribers
from lab.tree import NoAsterisk


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    options = _options()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="dialerd-lab-"))
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        subscribers = Subscribers(seed=options.seed, talk_seconds=options.talk)
        with Lab(folder, agents=options.agents, subscribers=subscribers) as lab:
            lab.wait_registered()
            _tell(lab)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (AsteriskFailed, NoAsterisk, NoFreePorts, TimeoutError) as failed:
        print(f"lab: {failed}", file=sys.stderr)
        return 1
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab", description="A telephone network on one machine.")
    parser.add_argument("--folder", type=Path, help="where its files go (default: a temporary folder)")
    parser.add_argument("--agents", type=int, default=2, help="SIP phones agent-1 … agent-N (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="decides every lot (default 1)")
    parser.add_argument("--talk", type=float, default=20.0, help="mean talk time of a person, seconds (default 20)")
    return parser.parse_args()


def _tell(lab: Lab) -> None:
    etc = lab.pbx.etc
    print(f"AMI       {lab.ami_host}:{lab.ami_port}  user {lab.ami_username}, {etc}/dialerd-secrets/manager.conf")
    print(f"ARI       {lab.ari_url}  user {lab.ari_username}, {etc}/dialerd-secrets/ari.conf")
    print(f"FastAGI   127.0.0.1:{lab.fastagi_port}  (where the dialplan looks for dialerd)")
    print(f"trunk     {lab.trunk}, agents {', '.join(lab.agents) or 'none'}")
    print("numbers   +358401BBNNNN: BB 10 person, 11 machine, 12 busy, 13 no answer, 14 rejected, 15 unallocated,")
    print("          16 slow, 17 hangs up, 18 presses 1, 19 presses 2, 00 a mix")
    print(f"files     {lab.folder}")
    print("Ctrl+C ends it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())

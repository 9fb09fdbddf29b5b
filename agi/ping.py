"""agi://…/ping: the daemon is there. For monitoring; `dialer-admin agi ping` asks it as well.

Sets DIALERD_VERSION and, last, DIALERD=ok.
"""

from dialerd import __version__
from dialerd.fastagi.desk import Desk
from dialerd.fastagi.wire import AgiCall


async def run(call: AgiCall, desk: Desk) -> None:
    """Nothing is asked of the desk: whether Redis and PostgreSQL are there is for /health to say."""
    await call.set_variables({"DIALERD_VERSION": __version__, "DIALERD": "ok"})

"""`dialer-admin tenant`: companies, what they pay, and each one's kill switch."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import click

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.core import money
from dialerd.store import tenants


class Amount(click.ParamType):
    """An amount of money; where `none` is allowed it stands for no balance."""

    name = "amount"

    def __init__(self, limit: Decimal = money.LIMIT, *, none: bool = False) -> None:
        self._limit, self._none = limit, none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The amount as a Decimal, or "none"."""
        if isinstance(value, Decimal) or (self._none and value == "none"):
            return value
        try:
            return money.amount(value, self._limit)
        except money.AmountRefused as error:
            self.fail(str(error), param, ctx)


@click.group("tenant")
def group() -> None:
    """Companies on this installation. Each sees its own campaigns, contacts, agents and figures only."""


@command(group, "add")
@click.argument("name")
@click.option("--region", default="FI", show_default=True, help="Country that numbers without a country code lie in.")
async def add(session: Session, as_json: bool, name: str, region: str) -> None:
    """Add a company. It may dial without limit until it has a balance."""
    async with session.pool() as pool:
        _show(await tenants.add(pool, name, region, session.by), as_json)


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """Every company."""
    async with session.pool() as pool:
        found = await tenants.all_of(pool)
    if as_json:
        show_json({"tenants": found})
        return
    rows = [
        (t.name, t.enabled, t.default_region, _balance(t), t.price_attempt, t.price_minute, t.campaigns) for t in found
    ]
    show_table(("NAME", "ENABLED", "REGION", "BALANCE", "PER ATTEMPT", "PER MINUTE", "CAMPAIGNS"), rows)


@command(group, "show")
@click.argument("name")
async def show(session: Session, as_json: bool, name: str) -> None:
    """One company."""
    async with session.pool() as pool:
        _show(await tenants.get(pool, name), as_json)


@command(group, "set")
@click.argument("name")
@click.option("--price-attempt", type=Amount(), help="What one attempt costs.")
@click.option("--price-minute", type=Amount(), help="What a started minute of talk costs.")
@click.option("--balance", type=Amount(money.BALANCE_LIMIT, none=True), help="Prepaid money, or none: unlimited.")
async def set_command(
    session: Session,
    as_json: bool,
    name: str,
    price_attempt: Decimal | None,
    price_minute: Decimal | None,
    balance: Any,
) -> None:
    """Set prices and balance. Calls that are under way keep the attempt's price they began with."""
    given: dict[str, Any] = {"price_attempt": price_attempt, "price_minute": price_minute, "balance": balance}
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise click.UsageError("nothing to set: give --price-attempt, --price-minute or --balance")
    if changes.get("balance") == "none":
        changes["balance"] = None
    async with session.pool() as pool:
        _show(await tenants.set_money(pool, name, session.by, **changes), as_json)


@command(group, "credit")
@click.argument("name")
@click.argument("amount", type=Amount(money.BALANCE_LIMIT))
async def credit(session: Session, as_json: bool, name: str, amount: Decimal) -> None:
    """Add AMOUNT to a company's balance."""
    async with session.pool() as pool:
        _show(await tenants.credit(pool, name, amount, session.by), as_json)


@command(group, "enable")
@click.argument("name")
async def enable(session: Session, as_json: bool, name: str) -> None:
    """Let a company place calls again."""
    async with session.pool() as pool:
        _show(await tenants.switch(pool, name, True, session.by), as_json)


@command(group, "disable")
@click.argument("name")
async def disable(session: Session, as_json: bool, name: str) -> None:
    """Stop a company's new calls at once; calls in progress go on."""
    async with session.pool() as pool:
        found = await tenants.switch(pool, name, False, session.by)
        live = await tenants.live_calls(pool, found.id)
    _show(found, as_json)
    say(f"{name} places no new calls; {live} in progress")


def _show(tenant: tenants.Tenant, as_json: bool) -> None:
    if as_json:
        show_json(tenant)
    else:
        show_fields({**asdict(tenant), "balance": _balance(tenant)})


def _balance(tenant: tenants.Tenant) -> object:
    return "unlimited" if tenant.balance is None else tenant.balance


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)

"""`dialer-admin tenant`: companies, what they pay, and each one's kill switch."""

from dataclasses import asdict
from decimal import Decimal

import click

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.core import money
from dialerd.store import tenants


def _price(ctx: click.Context, param: click.Parameter, value: str | None) -> Decimal | None:
    return None if value is None else _read(value, money.LIMIT)


def _balance(ctx: click.Context, param: click.Parameter, value: str | None) -> Decimal | tenants.Unlimited | None:
    return "unlimited" if value == "none" else None if value is None else _read(value, money.BALANCE_LIMIT)


def _calls(ctx: click.Context, param: click.Parameter, value: str | None) -> int | tenants.Unlimited | None:
    if value is None or value == "none":
        return None if value is None else "unlimited"
    if not (value.isascii() and value.isdigit() and len(value) < 8):
        raise click.BadParameter("a number of calls, or 'none' for no limit")
    return int(value)


def _read(text: str, limit: Decimal) -> Decimal:
    try:
        return money.amount(text, limit)
    except money.AmountRefused as error:
        raise click.BadParameter(str(error)) from None


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
        (t.name, t.enabled, t.default_region, _left(t), t.price_attempt, t.price_minute, _most(t), t.campaigns)
        for t in found
    ]
    show_table(("NAME", "ENABLED", "REGION", "BALANCE", "PER ATTEMPT", "PER MINUTE", "MAX CALLS", "CAMPAIGNS"), rows)


@command(group, "show")
@click.argument("name")
async def show(session: Session, as_json: bool, name: str) -> None:
    """One company."""
    async with session.pool() as pool:
        _show(await tenants.get(pool, name), as_json)


@command(group, "set")
@click.argument("name")
@click.option("--price-attempt", callback=_price, metavar="AMOUNT", help="What one attempt costs.")
@click.option("--price-minute", callback=_price, metavar="AMOUNT", help="What a started minute of talk costs.")
@click.option("--balance", callback=_balance, metavar="AMOUNT|none", help="Prepaid money; none: no limit.")
@click.option("--max-calls", callback=_calls, metavar="N|none", help="Calls at a time, all its campaigns together.")
async def set_command(
    session: Session,
    as_json: bool,
    name: str,
    price_attempt: Decimal | None,
    price_minute: Decimal | None,
    balance: Decimal | tenants.Unlimited | None,
    max_calls: int | tenants.Unlimited | None,
) -> None:
    """Set prices, balance and calls at a time. Calls under way go on, at the attempt's price they began with."""
    if price_attempt is price_minute is balance is max_calls is None:
        raise click.UsageError("nothing to set: give --price-attempt, --price-minute, --balance or --max-calls")
    async with session.pool() as pool:
        if max_calls is not None:
            await tenants.set_max_calls(pool, name, max_calls, session.by)
        changed = await tenants.set_money(
            pool, name, session.by, balance=balance, price_attempt=price_attempt, price_minute=price_minute
        )
    _show(changed, as_json)


@command(group, "credit")
@click.argument("name")
@click.argument("amount", callback=_balance)
async def credit(session: Session, as_json: bool, name: str, amount: Decimal | tenants.Unlimited) -> None:
    """Add AMOUNT to a company's balance."""
    if amount == "unlimited":
        raise click.UsageError("a credit is an amount; no limit: dialer-admin tenant set NAME --balance none")
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
        show_fields({**asdict(tenant), "balance": _left(tenant), "max_calls": _most(tenant)})


def _left(tenant: tenants.Tenant) -> object:
    return "unlimited" if tenant.balance is None else tenant.balance


def _most(tenant: tenants.Tenant) -> object:
    return "unlimited" if tenant.max_calls is None else tenant.max_calls


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)

"""How the store says no; the surfaces turn these into exit codes and HTTP statuses."""


class NotFound(LookupError):
    """There is no such thing in this tenant."""


class Refused(ValueError):
    """The database's state does not allow this; the text says why and what to do."""

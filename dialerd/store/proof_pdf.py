"""A proof as a PDF that one can hand over: title, contents, sections, page numbers.

Letters come from the DejaVu fonts where they are installed (Debian: fonts-dejavu-core). Without them the PDF's own font
is used; letters that it does not have are replaced, and the document says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fpdf import FPDF, XPos, YPos
from fpdf.outline import TableOfContents

from dialerd import __version__
from dialerd.store.proof import Attempt, Event, Proof

_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_FILES = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
_GREY, _BLACK, _RED, _RULE = (95, 95, 95), (20, 20, 20), (170, 0, 0), (190, 190, 190)
_MARGIN = 18.0  # mm
_LABEL = 38.0
_WORDS = {"sealed": "as sealed", "erased": "detail erased, rest as sealed", "not_sealed_yet": "not sealed yet",
          "changed": "NOT WHAT WAS SEALED"}  # fmt: skip
_REPLACED = (
    "This machine has no DejaVu fonts: letters beyond Western European ones are shown as '?'. "
    "The JSON form of this document has them all."
)


def write(proof: Proof, path: Path, fonts: Path = _FONTS) -> None:
    """Writes the document. `fonts`: where the DejaVu fonts are. Raises OSError."""
    page = _Page(proof, fonts)
    page.title_page()
    page.summary()
    page.attempts()
    page.not_called()
    page.lists()
    page.consents()
    page.seals()
    path.write_bytes(bytes(page.output()))


class _Page(FPDF):
    """The paper. Each method writes one section."""

    def __init__(self, proof: Proof, fonts: Path) -> None:
        super().__init__(format="A4")
        self._proof = proof
        self._all_letters = all((fonts / name).is_file() for name in _FILES.values())
        self._family = "DejaVu" if self._all_letters else "Helvetica"
        if self._all_letters:
            for style, name in _FILES.items():
                self.add_font("DejaVu", style, fonts / name)
        font: Any = self.fonts["dejavu"] if self._all_letters else None
        self._glyphs = font.cmap if font else None
        self._replaced = False
        self.set_margins(_MARGIN, _MARGIN, _MARGIN)
        self.set_auto_page_break(True, _MARGIN + 4)
        self.set_title(f"Record of calls to {proof.number}")
        self.set_creator(f"dialerd {__version__}")
        self.set_lang("en")

    def header(self) -> None:
        """On every page but the first."""
        if self.page_no() > 1:
            self._font(8, color=_GREY)
            self.cell(0, 5, self._known(f"Record of calls to {self._proof.number} · {self._proof.tenant}"),
                      new_x=XPos.LMARGIN, new_y=YPos.NEXT)  # fmt: skip
            self._line()

    def footer(self) -> None:
        """The page's number, and when this was made."""
        self.set_y(-_MARGIN)
        self._font(8, color=_GREY)
        self.cell(self.epw / 2, 5, _utc(self._proof.generated_at))
        self.cell(self.epw / 2, 5, f"Page {self.page_no()} of {{nb}}", align="R")

    def title_page(self) -> None:
        """Title, what it is about, and the contents."""
        proof = self._proof
        self.add_page()
        self.set_y(40)
        self._font(22, "B")
        self.cell(0, 12, "Record of calls", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self._font(16)
        self.cell(0, 10, self._known(proof.number), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(4)
        self._fields({
            "Kept by": proof.tenant, "Generated": _utc(proof.generated_at), "Program": f"dialerd {__version__}",
            "Time zones": ", ".join(proof.zones) or "not known",
        })  # fmt: skip
        if not self._all_letters:
            self._text(_REPLACED, color=_GREY)
        self.ln(8)
        self._font(12, "B")
        self.cell(0, 8, "Contents", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self._font(10)
        self.insert_toc_placeholder(TableOfContents().render_toc, allow_extra_pages=True)

    def summary(self) -> None:
        """The figures."""
        proof = self._proof
        self._section("Summary")
        ends = [str(attempt.facts["outcome"] or attempt.facts["state"]) for attempt in proof.attempts]
        counts = ", ".join(f"{end} {ends.count(end)}" for end in sorted(set(ends))) or "none"
        self._fields({
            "Calls": f"{len(proof.attempts)} ({counts})",
            "First": _utc(proof.attempts[0].facts["claimed_at"]) if proof.attempts else "-",
            "Last": _utc(proof.attempts[-1].facts["claimed_at"]) if proof.attempts else "-",
            "Not called": f"{len(proof.not_called)} decisions",
            "Do not call": ", ".join(sorted({bar.list for bar in proof.dnc})) or "on no list",
            "Last word": f"{proof.consents[0]['kind']}, {_utc(proof.consents[0]['at'])}" if proof.consents else "none",
        })  # fmt: skip
        if proof.left_out:
            self._text(f"{proof.left_out} older calls are not in this document.")

    def attempts(self) -> None:
        """Every call."""
        self._section("Calls")
        if not self._proof.attempts:
            self._text("No call is on record.")
        for number, attempt in enumerate(self._proof.attempts, 1):
            self._attempt(number, attempt)

    def _attempt(self, number: int, attempt: Attempt) -> None:
        facts, window = attempt.facts, attempt.window
        self._heading(f"{number}. {_utc(facts['claimed_at'])} · {facts['outcome'] or facts['state']}")
        self._fields({
            "Local time": "; ".join(f"{local} ({zone})" for zone, local in attempt.local.items()),
            "Campaign": facts["campaign"] + (f", list {facts['list']}" if facts["list"] else ""),
            "Caller ID": facts["caller_id"], "Agent": facts["agent"],
            "Outcome": _outcome(facts), "Times (UTC)": _times(facts),
            "Window check": "not on record" if window is None else
            f"open until {window.open_until} in {', '.join(window.zones)}; settings {window.version}",
            "Called before": None if window is None else
            f"{window.calls_24h} in 24 h, {window.calls_7d} in 7 days, {window.calls_30d} in 30 days",
            "Pressed": ", ".join(f"{pressed['digits']} ({pressed['node_name']})" for pressed in attempt.inputs),
            "Call id": attempt.id,
        })  # fmt: skip
        self._events(attempt.events)

    def not_called(self) -> None:
        """Decisions not to call."""
        self._section("Decisions not to call")
        if not self._proof.not_called:
            self._text("None is on record.")
        self._events(self._proof.not_called, campaign=True)

    def lists(self) -> None:
        """Where the number is on a do-not-call list."""
        self._section("Do-not-call lists")
        if not self._proof.dnc:
            self._text(f"The number is on no list that binds {self._proof.tenant}.")
        for bar in self._proof.dnc:
            self._heading(f"{bar.list} ({bar.scope}{f', {bar.campaign}' if bar.campaign else ''})")
            self._fields({"Entry": bar.matched, "Kind": bar.kind, "Source": bar.source, "Added": _utc(bar.added_at),
                          "Data of": _utc(bar.as_of)})  # fmt: skip

    def consents(self) -> None:
        """What the person said."""
        self._section("Consents")
        if not self._proof.consents:
            self._text("Neither consent nor objection is on record.")
        for consent in self._proof.consents:
            call = f", call {consent['attempt_id']}" if consent["attempt_id"] else ""
            self._text(f"{_utc(consent['at'])}   {consent['kind']}   {consent['source']}{call}")

    def seals(self) -> None:
        """What the chain says of the events above."""
        self._section("Seals")
        self._text(
            "Each event above was sealed a moment after it was written: a SHA-256 hash over the event and over the "
            "seal before it, in one chain for everything that this tenant does. An event that was changed since is "
            "marked. That the chain as a whole was not made anew is shown by comparing its end with one noted outside "
            "the database."
        )
        self._fields({_WORDS[state].capitalize(): str(count) for state, count in self._proof.seals.items()})
        self._fields({"Chain's end": self._proof.head or "nothing is sealed yet"})
        if self._replaced:
            self._text("Letters that the font lacks are shown as '?'; the JSON form of this document has them.")

    # -- parts

    def _section(self, title: str) -> None:
        self.add_page() if self.page_no() == 1 or self.will_page_break(40) else self.ln(6)
        self._font(14, "B")
        self.start_section(title)
        self.cell(0, 9, title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self._line()

    def _heading(self, text: str) -> None:
        if self.will_page_break(45):
            self.add_page()
        self.ln(2)
        self._font(10, "B")
        self.multi_cell(0, 6, self._known(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _fields(self, fields: Mapping[str, str | None]) -> None:
        for name, value in fields.items():
            if value:
                self._font(9, color=_GREY)
                self.cell(_LABEL, 5, name)
                self._font(9)
                self.multi_cell(0, 5, self._known(value), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _events(self, events: Iterable[Event], campaign: bool = False) -> None:
        for event in events:
            detail = _detail(event.detail)
            where = f" · {event.campaign}" if campaign and event.campaign else ""
            self._font(8)
            self.multi_cell(0, 4.2, self._known(f"{_utc(event.at, True)}   {event.kind}{where}   {detail}"), align="L",
                            new_x=XPos.LMARGIN, new_y=YPos.NEXT)  # fmt: skip
            seal = f"seal {event.seq} {event.hash}, " if event.seq else ""
            self._text(f"      {seal}{_WORDS[event.seal]}", 6.5, _RED if event.seal == "changed" else _GREY)
        self.ln(1)

    def _text(self, text: str, size: float = 9, color: Sequence[int] = _BLACK) -> None:
        self._font(size, color=color)
        self.multi_cell(0, size * 0.55, self._known(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _font(self, size: float, style: Any = "", color: Sequence[int] = _BLACK) -> None:
        self.set_font(self._family, style, size)
        self.set_text_color(*color)

    def _line(self) -> None:
        self.set_draw_color(*_RULE)
        self.line(self.l_margin, self.y, self.w - self.r_margin, self.y)
        self.ln(3)

    def _known(self, text: str) -> str:
        """What the font can show: nothing that is no letter, and '?' for what the PDF's own font lacks."""
        shown = "".join(c if c.isprintable() else " " for c in text)
        if self._glyphs is None:
            return shown.encode("cp1252", "replace").decode("cp1252")
        known = "".join(c if ord(c) in self._glyphs else "?" for c in shown)
        self._replaced |= known != shown
        return known


def _utc(at: datetime, exact: bool = False) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S" + (".%f" if exact else "")) + " UTC"


def _outcome(facts: Mapping[str, Any]) -> str:
    parts = [str(facts["outcome"] or facts["state"])]
    parts += [f"cause {facts['cause']}"] if facts["cause"] is not None else []
    parts += [f"agent said: {facts['disposition']}"] if facts["disposition"] else []
    return ", ".join(parts)


def _times(facts: Mapping[str, Any]) -> str:
    names = ("claimed_at", "dialed_at", "ringing_at", "answered_at", "connected_at", "ended_at")
    return ", ".join(f"{n.removesuffix('_at')} {facts[n].astimezone(UTC):%H:%M:%S}" for n in names if facts[n])


def _detail(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}"
                     for name, value in detail.items())  # fmt: skip

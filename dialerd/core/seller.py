"""The safe-harbour message in words: who called, on which number they are reached, and the key that ends it. Pure."""

from dataclasses import dataclass
from typing import Final

from dialerd.core.flow import Prompt

# A clause for seller, number and key each, so that nothing is said about what is not set.
_WORDS: Final[dict[str, tuple[str, str, str]]] = {
    "en": (
        "This was a call from {seller}. We are sorry that nobody is free to speak to you now.",
        "You can reach us on {number}.",
        "To get no more calls from us, press {key}.",
    ),
    "fi": (
        "Teille soitti {seller}. Valitettavasti kukaan ei ole nyt vapaana puhumaan kanssanne.",
        "Tavoitatte meidät numerosta {number}.",
        "Jos ette halua meiltä enää puheluita, painakaa {key}.",
    ),
    "es": (
        "Esta era una llamada de {seller}. Lamentamos que nadie pueda atenderle en este momento.",
        "Puede llamarnos al {number}.",
        "Si no desea recibir más llamadas nuestras, pulse {key}.",
    ),
    "de": (
        "Dies war ein Anruf von {seller}. Leider ist gerade niemand frei, um mit Ihnen zu sprechen.",
        "Sie erreichen uns unter {number}.",
        "Wenn Sie keine Anrufe mehr von uns möchten, drücken Sie die {key}.",
    ),
    "fr": (
        "Ceci était un appel de {seller}. Nous regrettons que personne ne puisse vous parler maintenant.",
        "Vous pouvez nous joindre au {number}.",
        "Pour ne plus recevoir d'appels de notre part, appuyez sur {key}.",
    ),
}
LANGUAGES: Final[tuple[str, ...]] = tuple(_WORDS)


@dataclass(frozen=True, slots=True)
class Seller:
    """Who is named. `number`: as it is shown, with or without a plus; `language`: one of `LANGUAGES`; `key`: pressed
    while it is said, it ends all calls."""

    name: str
    number: str | None
    language: str
    key: str

    @property
    def prompt(self) -> Prompt:
        """The whole message, as text."""
        who, where, how = _WORDS[self.language]
        clauses = [who.format(seller=self.name)]
        if self.number:
            clauses.append(where.format(number=" ".join(self.number)))
        clauses.append(how.format(key=self.key))
        return Prompt(text=" ".join(clauses), language=self.language)

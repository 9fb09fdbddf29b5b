"""The message that names the seller, and what a campaign may say of it."""

from dataclasses import replace

import pytest

from dialerd.core import campaign as rules
from dialerd.core.seller import LANGUAGES, Seller

DRAFT = rules.Draft("c", "progressive", "sales", "trunk-out", seller_name="Acme Oy", seller_number="+358401100000")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_message_names_seller_number_and_key_in_each_language(language: str) -> None:
    said = Seller("Acme {x} Oy", "+35840", language, "9").prompt
    assert said.language == language and "Acme {x} Oy" in said.text and "+ 3 5 8 4 0" in said.text
    assert said.text.rstrip(".").endswith("9")
    assert "None" not in Seller("A", None, language, "1").prompt.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seller_name": " "}, "seller_name"),
        ({"seller_name": "A\nB"}, "seller_name"),
        ({"seller_name": "x" * 101}, "seller_name"),
        ({"seller_name": None}, "seller_number"),
        ({"seller_number": "${SHELL(id)}"}, "seller_number"),
        ({"message_language": "xx"}, "message_language"),
        ({"opt_out_key": "#"}, "opt_out_key"),
        ({"opt_out_key": "12"}, "opt_out_key"),
        ({"opt_out_key": ""}, "opt_out_key"),
        ({"returned": "voicemail"}, "returned"),
        ({"returned": "agents", "queue_name": rules.NO_QUEUE, "dial_mode": "power", "flow": "x"}, "returned"),
    ],
)
def test_a_campaign_that_could_not_say_its_message_is_refused(changes: dict[str, str], field: str) -> None:
    rules.check(DRAFT)
    with pytest.raises(rules.CampaignRefused) as caught:
        rules.check(replace(DRAFT, **changes))  # type: ignore[arg-type]
    assert field in dict(caught.value.problems)

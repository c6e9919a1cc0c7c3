"""The policy that comes with the project."""

import json

from service.generators.extractive.artifact import CARD_FILE, SHIPPED, read_policy


def test_it_is_a_policy_of_this_version():
    assert read_policy(SHIPPED).weights.any()


def test_its_card_names_the_file_the_data_and_their_licences():
    card = (SHIPPED / CARD_FILE).read_text()
    assert read_policy(SHIPPED).sha256 in card
    assert all(words in card for words in ("CC BY 4.0", "PDDL 1.0", "ACL Anthology"))
    assert json.loads((SHIPPED / "card.json").read_text())["sha256"] == read_policy(SHIPPED).sha256

"""`--set KEY=VALUE` reads values as JSON where they are, and as text where they are not."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from manifoldnet.cli.failures import CallError
from manifoldnet.cli.settings import parsed_settings, parsed_value

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=40)
@given(JSON_VALUES)
def test_json_is_read_as_json(value: object) -> None:
    read = parsed_value(json.dumps(value))
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("text", ["softmax", "a b", "1.2.3", "", "NaN", "-Infinity", "specs/x.py", "[1,", "0x10"])
def test_what_is_not_json_is_text(text: str) -> None:
    assert parsed_value(text) == text


@pytest.mark.parametrize(("text", "value"), [("True", True), ("False", False), ("None", None)])
def test_python_spellings_are_understood(text: str, value: object) -> None:
    assert parsed_value(text) is value


def test_a_value_may_hold_equals_signs_and_a_later_setting_wins() -> None:
    assert parsed_settings(["a=x=y", "b=1", "b=2"]) == {"a": "x=y", "b": 2}


@pytest.mark.parametrize("word", ["hidden", "=3", "two words=3", "3=x", ""])
def test_settings_need_a_name_and_a_value(word: str) -> None:
    with pytest.raises(CallError, match="KEY=VALUE"):
        parsed_settings([word])


def test_the_seed_is_not_a_setting() -> None:
    with pytest.raises(CallError, match="--seed 7 instead"):
        parsed_settings(["seed=7"])

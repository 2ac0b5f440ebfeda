"""What is taken out of text for people, and what is left in it."""

from __future__ import annotations

import logging

import pytest

from sweepyard.redaction import Redacting, passwords_of, redact, redact_words, secrets_of, without_login

CANARY = "Canary-7fQ2.x_9"


@pytest.mark.parametrize(
    "text",
    [
        "redis://:{}@10.0.0.1:6379/0",
        "Redis at rediss://user:{}@host does not answer",
        "postgresql+psycopg://me:{}@db/sweeps?sslmode=require",
        "postgresql://db/sweeps?user=me&password={}&sslmode=require",
        "Authorization: Bearer {}",
        "{{'authorization': 'Bearer {}'}}",
        "SWEEPYARD_API_KEY={}",
        "WANDB_API_KEY={} HF_TOKEN={}",
        "export AWS_SECRET_ACCESS_KEY='{}'",
        "python train.py --api-key {} --lr 0.1",
        "python train.py --db_password={}",
        "['python', 'train.py', '--token', '{}', '--lr', '0.1']",
        '{{"password": "{}", "user": "me"}}',
        "KeyError: password: {}",
        "ValueError: login failed, auth_token={}",
        "signing_key={}",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    found = redact(text.format(CANARY, CANARY) if text.count("{}") > 1 else text.format(CANARY))
    assert CANARY not in found
    assert "***" in found
    assert redact(found) == found


@pytest.mark.parametrize(
    "text",
    [
        "run 3 finished after 2.5 s: lr=0.1, max_tokens=512, tokens: 1000, pad_token=0, tokenizer=bert",
        "python train.py --max_tokens 512 --tokenizer bert --num-tokens 5 --monkey 3",
        "http://127.0.0.1:7077/local/digits/sweeps/ab12cd34",
        "The API key is missing or wrong. Set SWEEPYARD_API_KEY to one that the service knows.",
        "Redis at 127.0.0.1:6379 does not answer: Connection refused.",
        "parameters.key: one bound is a whole number; keyword=5, hotkey: a",
        "There is a key 'ci' already. Revoke it first, or choose another name.",
        "redis://host:6379/0 and me@example.org",
        "stopped at rung 3: 0.5 is worse than 0.7",
    ],
)
def test_other_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_what_is_known_is_taken_out_wherever_it_stands() -> None:
    known = secrets_of(
        {"MY_TOKEN": "abcdef12", "HOME": "/home/me", "DB": f"postgresql://u:{CANARY}@h/d", "KEY": "x"}
    )
    assert redact(f"/home/me said abcdef12 and {CANARY}; x", known) == "/home/me said *** and ***; x"


def test_a_command_line_stays_one() -> None:
    words = ["python", "train.py", "--api-key", "a b", "--lr=0.1", "redis://:pw12345@h", "--token", "x", "y"]
    assert redact_words(words) == [
        "python",
        "train.py",
        "--api-key",
        "***",
        "--lr=0.1",
        "redis://:***@h",
        "--token",
        "***",
        "y",
    ]


def test_urls_that_are_none_show_no_password() -> None:
    for url in (f"redis:/:{CANARY}@h", f"redis://:{CANARY}/x@h:1", f"{CANARY}@h", f"mysql://u:a@{CANARY}@h/db"):
        assert CANARY not in without_login(url)
    assert without_login("redis://h:1") == "redis://h:1"
    assert passwords_of("redis://:a%40b@h") == {"a%40b", "a@b"}
    assert passwords_of("redis://[") == passwords_of("no url") == frozenset()


def test_a_log_has_no_secret_not_even_in_a_traceback() -> None:
    formatter = Redacting("%(message)s", [CANARY])
    try:
        raise ValueError(f"cannot use {CANARY} at redis://:hunter22@h")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed with --token %s", ("hunter2",), trace)
    shown = formatter.format(record)
    assert "Traceback" in shown
    assert not any(secret in shown for secret in (CANARY, "hunter2"))

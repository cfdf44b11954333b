"""Secrets are looked up where a reference says, and are never repeated in a message."""

import os

import pytest

from syncd import ConfigError
from syncd.config.words import REFERENCE_KINDS
from syncd.credentials import KINDS, resolve


@pytest.fixture
def secret(tmp_path):
    """Write a file that holds a secret and return its path."""

    def secret(content=b"hunter2", mode=0o600, name="hq"):
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return secret


def refusal(reference, environ=None, **more):
    with pytest.raises(ConfigError) as error:
        resolve(reference, environ or {}, **more)
    assert error.value.__cause__ is None
    return str(error.value)


def test_a_credential_is_a_file_in_the_folder_that_systemd_names(secret, tmp_path):
    """systemd has judged it, so its mode does not matter here."""
    secret(b"hunter2", mode=0o444)

    assert "hunter2" == resolve("credential:hq", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_credential_from_the_folder_of_the_shipped_unit_has_the_files_own_name(tmp_path):
    """LoadCredential=syncd:/etc/syncd/credentials passes its file hq as syncd_hq."""
    (tmp_path / "syncd_hq").write_text("hunter2\n")

    assert "hunter2" == resolve("credential:hq", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_credential_that_was_passed_by_its_own_name_comes_first(tmp_path):
    (tmp_path / "syncd_hq").write_text("of the folder")
    (tmp_path / "hq").write_text("of a line of its own")

    assert "of a line of its own" == resolve("credential:hq", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_credential_without_systemd_is_refused_with_both_cures():
    assert (
        "credential:hq: $CREDENTIALS_DIRECTORY is not set, as this was not started by systemd; add "
        "LoadCredential=hq:/PATH to the unit, or use file:/PATH" == refusal("credential:hq")
    )


def test_a_credential_that_systemd_did_not_pass_is_refused(tmp_path):
    assert (
        "credential:hq: systemd passed no such credential; write it to /etc/syncd/credentials/hq, or add "
        "LoadCredential=hq:/PATH to the unit; then restart it"
        == refusal("credential:hq", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    )


@pytest.mark.parametrize("name", ["", "..", ".", "../hq", "/etc/shadow", "a/b"])
def test_a_credential_cannot_lead_out_of_its_folder(tmp_path, name):
    assert refusal(f"credential:{name}", {"CREDENTIALS_DIRECTORY": str(tmp_path)}).endswith(
        ": a credential has a plain name, as in LoadCredential=NAME:/PATH"
    )


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_a_file_that_few_can_read_is_taken(secret, mode):
    assert "hunter2" == resolve(f"file:{secret(mode=mode)}", {})


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o620, 0o602, 0o700, 0o650, 0o641, 0o4600])
def test_a_file_that_others_can_read_or_write_is_refused(secret, mode):
    path = secret(mode=mode)

    assert (
        f"file:{path}: {path} has mode {mode:04o}, which is too wide; run chmod 0640 on it, or narrower"
        == refusal(f"file:{path}")
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(secret):
    path = secret()
    os.chown(path, 12345, 0)

    assert (
        f"file:{path}: {path} belongs to user 12345; give it to root or to the service's user"
        == refusal(f"file:{path}")
    )  # fmt: skip


def test_only_regular_files_hold_secrets(secret, tmp_path):
    """Neither a link, which somebody else may turn, nor a pipe, which would keep us waiting."""
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(secret())
    os.mkfifo(pipe, 0o600)

    assert refusal(f"file:{link}").endswith("cannot be read: it is a symbolic link; name the file itself")
    assert refusal(f"file:{pipe}").endswith("is not a regular file")
    assert refusal(f"file:{tmp_path}").endswith("cannot be read: Is a directory")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert refusal(f"file:{tmp_path}/nowhere").endswith(": there is no such file")
    assert refusal(f"file:{tmp_path}/nowhere/hq").endswith(": there is no such file")
    assert "file:hq: the path must begin with /" == refusal("file:hq")


def test_a_path_through_a_file_cannot_be_read(secret):
    assert refusal(f"file:{secret()}/hq").endswith("cannot be read: Not a directory")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\n\n", "hunter2\n"),
        (b" hunter2 ", " hunter2 "),
        ("pässwörd☎".encode(), "pässwörd☎"),
        (b"a\nb", "a\nb"),
    ],
)
def test_one_line_end_is_not_part_of_the_secret(secret, content, expected):
    assert expected == resolve(f"file:{secret(content)}", {})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "what is there is empty"),
        (b"\n", "what is there is empty"),
        (b"hunter2\0", "what is there holds a NUL character"),
        (b"hunter\xfc", "what is there is not UTF-8"),
        (b"x" * 65537, "is larger than 65536 bytes, which is no secret"),
    ],
)
def test_what_can_be_no_secret_is_refused(secret, content, expected):
    message = refusal(f"file:{secret(content)}")

    assert message.endswith(expected)
    assert "hunter" not in message


def test_an_environment_variable_is_taken(secret):
    assert "hunter2" == resolve("env:HQ", {"HQ": "hunter2"})
    assert "env:HQ: this environment variable is not set" == refusal("env:HQ")
    assert "env:HQ: what is there is empty" == refusal("env:HQ", {"HQ": ""})


def test_other_kinds_are_asked_of_the_plugins():
    asked = []

    def extra(reference):
        asked.append(reference)
        return "hunter2" if reference.startswith("vault:") else None

    assert "hunter2" == resolve("vault:team/hq", {}, extra)
    assert "a secret: this is neither" == refusal("safe:team/hq", extra=extra)[:25]
    assert ["vault:team/hq", "safe:team/hq"] == asked


def test_plugins_are_never_asked_for_the_kinds_that_need_none(tmp_path):
    def extra(_reference):
        raise AssertionError("was asked")

    refusal("credential:hq", extra=extra)
    refusal("env:HQ", extra=extra)
    refusal(f"file:{tmp_path}/hq", extra=extra)


@pytest.mark.parametrize(
    "literal", ["hunter2", "hunter2:x", "a hunter2: with a colon", ":hunter2", "", "file"]
)
def test_a_secret_in_place_of_a_reference_is_refused_with_the_cure_and_not_repeated(literal):
    where = "source.hq.bind.password (/etc/syncd/syncd.toml:22)"
    message = refusal(literal, where=where, extra=lambda _reference: None)

    assert (
        f"{where}: a secret: this is neither a reference that syncd knows nor one that a loaded plugin "
        'answers; put the secret into a file of its own and write "credential:NAME" (with '
        'LoadCredential=NAME:/PATH in the unit) or "file:/PATH"' == message
    )
    assert "hunter2" not in message


def test_the_configuration_shows_just_the_kinds_of_reference_that_are_known_here():
    assert set(REFERENCE_KINDS) == set(KINDS)

"""The transform ``e164``: public telephone numbers in the one form that all systems agree on.

Only what is certainly a public number becomes one. ``phonenumbers`` alone would read the internal
extension 4711 as +494711, and calls 1640 a valid number in Germany: so a number in national form needs
the region's trunk prefix (the 0 in 030) where there is one, and seven digits behind it.
"""

from __future__ import annotations

from collections.abc import Callable

from ..transforms import shown, written_number

_SHORTEST = 7
"""Digits of a number without country and trunk prefix; anything shorter could be an internal extension."""


def e164(argument: str | None) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """``e164:REGION``: every text as E.164 (+49301234567), national forms read as in REGION.

    Without a region only numbers with + are taken. A text that is not one valid public number raises
    ValueError, and so does an extension part (RFC 3966 ``;ext=``, ``x123``) that E.164 would lose: one
    that the number ends with anyway is dropped.
    """
    import phonenumbers

    region = argument.strip().upper() if argument is not None else None
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(
            f"e164:{argument}: there is no such region; name a country by its two letters (ISO 3166-1), "
            "such as e164:DE or e164:GB, or write e164 alone to take numbers with + only"
        )
    trunk = _trunk(region)
    return lambda texts: tuple(_public(text, region, trunk) for text in texts if text.strip())


def _trunk(region: str | None) -> str:
    """Return the digits that a number in national form has to begin with, or ""."""
    from phonenumbers.phonenumberutil import country_code_for_region, ndd_prefix_for_region

    if region is None or country_code_for_region(region) == 1:  # in North America it is seldom written
        return ""
    return ndd_prefix_for_region(region, strip_non_digits=True) or ""


def _public(text: str, region: str | None, trunk: str) -> str:
    import phonenumbers

    written = written_number(text)
    if written is None:
        raise ValueError(f"{shown(text)} is not one telephone number; correct it in the source")
    try:
        number = phonenumbers.parse(written.digits, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        raise ValueError(_refusal(text, region)) from None
    national = phonenumbers.national_significant_number(number)
    source = phonenumbers.CountryCodeSource
    certain = number.country_code_source in (
        source.FROM_NUMBER_WITH_PLUS_SIGN,
        source.FROM_NUMBER_WITH_IDD,
    ) or (written.digits.startswith(trunk) and len(national) >= _SHORTEST)
    if not certain or not phonenumbers.is_valid_number(number):
        raise ValueError(_refusal(text, region))
    if written.extra and not national.endswith(written.extra):
        raise ValueError(
            f"{shown(text)} has the extension part {written.extra}, which E.164 cannot hold; write the full number "
            "in the source, or take the extension with extension-of"
        )
    return f"+{number.country_code}{national}"


def _refusal(text: str, region: str | None) -> str:
    if region is None:
        return f"{shown(text)} is not a valid number with + and country code; write it so, or name a region: e164:DE"
    return (
        f"{shown(text)} is not a full, valid telephone number in {region}; write it with + and country code "
        "in the source; if it is an internal extension, map it without e164"
    )

"""The company of ``syncd demo``: its configuration, and five hundred people who do not exist, as LDIF.

Their telephone numbers are from the ranges that Germany's regulator keeps for films, their domain is one
that never resolves (RFC 2606).
"""

from __future__ import annotations

import base64
import json
import random
import re
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

Person: TypeAlias = dict[str, str]
"""Attribute of the directory -> value; ``dn`` comes first."""

SIZE = 500
HAMBURG, MUNICH = "+49 40 66969", "+49 89 99998"
_NUMBERS = {"Hamburg": HAMBURG, "Munich": MUNICH}
_DEPARTMENTS = ("Development", "Sales", "Support", "Production", "Logistics", "Finance", "People", "Legal")
_TITLES = ("Engineer", "Clerk", "Team lead", "Technician", "Analyst", "Buyer", "Planner", "Assistant")

# Given names, then family names; where the script is not Latin, how the name is written in a login.
_NAMES = {
    "de": (
        "Anna Jürgen Käthe Lukas Marlene Söhnke Günther Friederike Jonas Änne Matthias Heike Björn Ute",
        "Müller Schäfer Weiß Großmann Köhler Böhm Vogt Brandt Jäger Lüders Petersen Förster Stöver Kühn",
    ),
    "pl": (
        "Łukasz Małgorzata Żaneta Paweł Agnieszka Wojciech Świętosława Grażyna",
        "Wiśniewski Dąbrowska Wójcik Łuczak Żak Grześ Kołodziej Brzęczyszczykiewicz",
    ),
    "fr": ("Zoé François Hélène Noël Maëlle Jérôme", "Lefèvre Désiré Côté Le-Goff Hervé"),
    "es": ("Íñigo Begoña José Núria Ángel", "Muñoz Ibáñez Peña Güemes Echevarría"),
    "da": ("Søren Åse Bjørn Kjærstin", "Sørensen Kjær Ågård Bøgh"),
    "tr": ("İbrahim Gülşen Çağla Şükrü Işıl", "Yılmaz Şahin Çelik Öztürk Güneş"),
    "cs": ("Jiří Šárka Tomáš Běla", "Novák Černá Říha Žižka Šimková"),
    "vi": ("Hương Tuấn Thảo Đức", "Nguyễn Trần Phạm Đặng"),
    "el": ("Ελένη:eleni Νίκος:nikos Μαρία:maria Γιώργος:giorgos", "Παππάς:pappas Γεωργίου:georgiou"),
    "ru": ("Ольга:olga Дмитрий:dmitri Светлана:svetlana Пётр:pyotr", "Иванова:ivanova Смирнов:smirnov"),
    "uk": ("Оксана:oksana Андрій:andriy Юлія:yuliya", "Шевченко:shevchenko Бондаренко:bondarenko"),
    "ar": ("ليلى:layla يوسف:yusuf مريم:maryam", "الحسن:alhasan منصور:mansour"),
    "he": ("נועה:noa דוד:david", "כהן:cohen לוי:levi"),
    "zh": ("秀英:xiuying 伟:wei 丽:li 强:qiang", "王:wang 李:li 张:zhang"),
    "ja": ("さくら:sakura 健太:kenta 陽子:yoko", "佐藤:sato 鈴木:suzuki"),
    "ko": ("민준:minjun 서연:seoyeon", "김:kim 박:park"),
    "hi": ("अनिता:anita राजेश:rajesh प्रिया:priya", "शर्मा:sharma सिंह:singh"),
    "th": ("สมชาย:somchai มาลี:malee", "ศรีสุข:srisuk"),
}
_WEIGHTS = {"de": 12, "pl": 3, "tr": 3}
_PLAIN = str.maketrans({"ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae",
                        "đ": "d", "Đ": "D", "ı": "i", "ä": "ae", "ö": "oe", "ü": "ue"})  # fmt: skip
_SAFE = re.compile(r"[\x21-\x39\x3b\x3d-\x7e][\x20-\x7e]*(?<! )")


PEOPLE, BOOK, CONFIGURATION, STATE = "people.ldif", "phonebook.csv", "syncd.toml", "state"
"""What stands in the folder: the source, the platform, the configuration, the state directory."""

_TOML = """\
# Made by "syncd demo". Change what you like: every mistake is told with its line by "syncd check".
state_directory = {state}
timezone = "Europe/Berlin"

# What a new account gets: staff stands in the phone book, guests do not.
[template.desk]
services = ["phonebook"]
feature_profile = "Standard"
[template.visit]
services = []
[role.staff]
template = "desk"
[role.guest]
template = "visit"

[enterprise.acme]
sources = ["people"]
protected = ["login:svc-*"]

# The personnel department's export; its last line says how many entries there are, so half a file is no file.
[source.people]
type = "ldif"
path = {people}
anchor = "entryUUID"
complete = "trailer"
max_entries = 2000
match = ["login", "email"]
operations = ["add", "update", "remove"]
detain = "first-run"
leavers = {{ missing = "disable", reads = 2, after = "24h", delete_after = "30d" }}
[source.people.map]
login = "uid"
email = {{ from = "mail", via = ["first", "trim", "lower"] }}
first_name = "givenName"
last_name = "sn"
display_name = "cn"
title = "title"
department = "ou"
location = "l"
phone = "telephoneNumber"
extension = {{ from = "telephoneNumber", via = ["extension-of:+494066969/3,+498999998/3"] }}
employee_number = "employeeNumber"
role = "employeeType"
language = "preferredLanguage"
distinguished_name = "dn"
[source.people.rules]
login = {{ required = true, pattern = "[a-z0-9.-]+" }}
last_name = {{ required = true }}

# A table that a telephone system could import.
[platform.phonebook]
type = "csv"
path = {book}
columns = ["display_name", "department", "location", "phone", "extension", "email"]
"""


def configuration(folder: Path) -> str:
    """Return the configuration of the company, whatever the folder's name has in it."""
    names = {"state": STATE, "people": PEOPLE, "book": BOOK}
    # A string of JSON is one of TOML.
    return _TOML.format(**{word: json.dumps(str(folder / name)) for word, name in names.items()})


def company() -> list[Person]:
    """Return everybody, the same people every time."""
    chance = random.Random(20261121)  # noqa: S311 - nobody is to be surprised
    languages = list(_NAMES)
    weights = [_WEIGHTS.get(language, 1) for language in languages]
    numbers = chance.sample(range(100, 1000), SIZE + 1)
    logins: set[str] = set()
    people = []
    for place in range(SIZE):
        language = chance.choices(languages, weights)[0]
        given, family = (chance.choice(names.split(" ")) for names in _NAMES[language])
        login = _login(given, family, logins)
        people.append(person(chance, language, given, family, login, numbers[place], place + 1))
    return people


def newcomers() -> tuple[Person, Person]:
    """Return two people who are not in the company yet; somebody forgot the login of the second."""
    chance = random.Random(7)  # noqa: S311 - as above
    good = person(chance, "de", "Jördis", "Ahlström", "joerdis.ahlstroem", 99, SIZE + 1)
    bad = person(chance, "da", "Ole", "Quist", "ole.quist", 98, SIZE + 2)
    return good, {**bad, "uid": ""}


def person(
    chance: random.Random, language: str, given: str, family: str, login: str, number: int, employee: int
) -> Person:
    """Return one person."""
    city = chance.choice(("Hamburg", "Hamburg", "Munich"))
    department = chance.choice(_DEPARTMENTS)
    first, last = given.partition(":")[0], family.partition(":")[0]
    shown = f"{last}{first}" if language in ("zh", "ja", "ko") else f"{first} {last}"
    return {
        "dn": f"uid={login},ou={department},dc=acme,dc=example",
        "objectClass": "inetOrgPerson",
        "entryUUID": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "uid": login,
        "givenName": first,
        "sn": last,
        "cn": shown,
        "mail": f"{login}@acme.example",
        "telephoneNumber": f"{_NUMBERS[city]}-{number:03}",
        "title": chance.choice(_TITLES),
        "ou": department,
        "l": city,
        "employeeNumber": f"{employee:05}",
        "employeeType": "guest" if chance.random() < 0.04 else "staff",
        "preferredLanguage": language,
    }


def _login(given: str, family: str, taken: set[str]) -> str:
    plain = ".".join(_plain(name.partition(":")[2] or name) for name in (given, family))
    login, number = plain, 1
    while login in taken:
        number += 1
        login = f"{plain}{number}"
    taken.add(login)
    return login


def _plain(name: str) -> str:
    """Return a Latin name in ASCII letters."""
    composed = unicodedata.normalize("NFKD", name.lower().translate(_PLAIN))
    return re.sub(r"[^a-z]", "", composed.casefold())


def ldif(people: Iterable[Person]) -> str:
    """Return the export of a directory (RFC 2849), ending with the mark that says how many entries there are."""
    entries = ["\n".join(_lines(one)) + "\n" for one in people]
    return "version: 1\n\n" + "\n".join(entries) + f"\n# end {len(entries)}\n"


def _lines(person: Person) -> Iterator[str]:
    for name, value in person.items():
        if _SAFE.fullmatch(value):
            yield f"{name}: {value}"
        elif value:
            yield f"{name}:: {base64.b64encode(value.encode()).decode()}"


def export(path: Path, text: str) -> None:
    """Put a file in its place in one step, as a careful exporter does."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, "utf-8")
    draft.replace(path)

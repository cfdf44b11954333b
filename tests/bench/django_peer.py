"""Runs django-python3-ldap against the benchmark directory: ``ldap_sync_users`` into an SQLite database.

python tests/bench/django_peer.py URL BASE DATABASE migrate
python tests/bench/django_peer.py URL BASE DATABASE ldap_sync_users
"""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.core.management import call_command

url, base, database, verb = sys.argv[1:]
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_python3_ldap"],
    USE_TZ=True,
    LDAP_AUTH_URL=url,
    LDAP_AUTH_USE_TLS=False,
    LDAP_AUTH_SEARCH_BASE=base,
    LDAP_AUTH_OBJECT_CLASS="inetOrgPerson",
    LDAP_AUTH_USER_LOOKUP_FIELDS=("username",),
    LDAP_AUTH_USER_FIELDS={
        "username": "uid",
        "first_name": "givenName",
        "last_name": "sn",
        "email": "mail",
    },
)
django.setup()
call_command(verb)

"""Makes the domain that ``servers.samba`` starts from; run by the Python that Debian's python3-samba is for.

    /usr/bin/python3 -I samba_domain.py FOLDER REALM PASSWORD

Isolated (-I), for a module called samba lies beside it. Passwords never expire, for the folder may be used for
years. The unit Crowd has more people than a page of Active Directory, and one group of them all.
"""

import logging
import sys
from pathlib import Path

from samba import dsdb
from samba.auth import system_session
from samba.param import LoadParm
from samba.provision import provision
from samba.samdb import SamDB

CROWD = 1200
NO_PASSWORD_EXPIRES = {"maxPwdAge": "0", "minPwdAge": "0"}


def make(folder: Path, realm: str, password: str) -> SamDB:
    """Provision the domain, and return its database. No file gets attributes that need a special file system."""
    settings = LoadParm()
    settings.set("posix:eadb", str(folder / "eadb.tdb"))
    made = provision(
        logging.getLogger("provision"),
        system_session(),
        targetdir=str(folder),
        realm=realm,
        domain=realm.partition(".")[2].partition(".")[0],
        hostname="dc1",
        hostip="127.0.0.1",
        adminpass=password,
        dns_backend="SAMBA_INTERNAL",
        serverrole="active directory domain controller",
        dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
        use_rfc2307=True,
        skip_sysvolacl=True,
        lp=settings,
    )
    return SamDB(url=made.paths.samdb, session_info=system_session(), lp=made.lp)


def fill(database: SamDB, password: str) -> None:
    """Add the reader and the crowd."""
    domain = str(database.domain_dn())
    crowd = f"OU=Crowd,{domain}"
    database.modify_ldif(
        f"dn: {domain}\nchangetype: modify\n"
        + "-\n".join(f"replace: {name}\n{name}: {value}\n" for name, value in NO_PASSWORD_EXPIRES.items())
    )
    database.newuser("reader", password)
    database.add({"dn": crowd, "objectClass": "organizationalUnit"})
    people = [f"CN=u{number},{crowd}" for number in range(CROWD)]
    for number, dn in enumerate(people):
        login = f"u{number}"
        database.add(
            {"dn": dn, "objectClass": "user", "sAMAccountName": login, "mail": f"{login}@example.test"}
        )
    group = {"dn": f"CN=everybody,{crowd}", "objectClass": "group", "sAMAccountName": "everybody"}
    database.add({**group, "member": people})


def main() -> None:
    folder, realm, password = sys.argv[1:]
    database = make(Path(folder), realm, password)
    database.transaction_start()
    fill(database, password)
    database.transaction_commit()


main()

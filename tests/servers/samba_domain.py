"""Makes the domain that ``servers.samba`` starts from; run by the Python that Debian's python3-samba is for.

    /usr/bin/python3 -I samba_domain.py FOLDER REALM PASSWORD CROWD

Isolated (-I), for a module called samba lies beside it. Passwords never expire, for the folder may be used for
years. The unit Crowd has CROWD people, and one group of them all. The user reader may read; watcher may see who is
deleted as well, and what is replicated; follower only the latter.

All is added in one transaction, in Samba's mode for batches: without it each person takes longer than the one before.
"""

import logging
import sys
from pathlib import Path

from samba import dsdb
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.param import LoadParm
from samba.provision import provision
from samba.samdb import SamDB
from samba.sd_utils import SDUtils

REPLICATING_CHANGES = "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2"
"""The right "Replicating Directory Changes" (MS-ADTS, section 5.1.3.2.1)."""
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
    return SamDB(url=made.paths.samdb, session_info=system_session(), lp=made.lp, options=["batch_mode:1"])


def fill(database: SamDB, password: str, size: int) -> None:
    """Add those who ask, and the crowd of ``size`` people."""
    domain = str(database.domain_dn())
    crowd = f"OU=Crowd,{domain}"
    database.modify_ldif(
        f"dn: {domain}\nchangetype: modify\n"
        + "-\n".join(f"replace: {name}\n{name}: {value}\n" for name, value in NO_PASSWORD_EXPIRES.items())
    )
    for name in ("reader", "watcher", "follower"):
        database.newuser(name, password)
    permit(database)
    database.add({"dn": crowd, "objectClass": "organizationalUnit"})
    people = [f"CN=u{number},{crowd}" for number in range(size)]
    for number, dn in enumerate(people):
        login = f"u{number}"
        database.add(
            {"dn": dn, "objectClass": "user", "sAMAccountName": login, "mail": f"{login}@example.test"}
        )
    group = {"dn": f"CN=everybody,{crowd}", "objectClass": "group", "sAMAccountName": "everybody"}
    database.add({**group, "member": people})


def permit(database: SamDB) -> None:
    """Let the watcher list Deleted Objects, and both him and the follower learn of changes."""
    domain = str(database.domain_dn())
    sids = {}
    for name in ("watcher", "follower"):
        (found,) = database.search(domain, expression=f"(sAMAccountName={name})", attrs=["objectSid"])
        sids[name] = ndr_unpack(security.dom_sid, found["objectSid"][0])
    rights = SDUtils(database)
    for sid in sids.values():
        rights.dacl_add_ace(domain, f"(OA;;CR;{REPLICATING_CHANGES};;{sid})")
    deleted, shown = f"CN=Deleted Objects,{domain}", ["show_recycled:1"]
    old = rights.read_sd_on_dn(deleted, shown).as_sddl()
    rights.modify_sd_on_dn(deleted, old.replace("(", f"(A;;LCRP;;;{sids['watcher']})(", 1), shown)


def main() -> None:
    folder, realm, password, size = sys.argv[1:]
    database = make(Path(folder), realm, password)
    database.transaction_start()
    fill(database, password, int(size))
    database.transaction_commit()


main()

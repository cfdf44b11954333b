"""Gives a domain controller that is stopped another invocationId, as one gets that was restored from a backup.

/usr/bin/python3 -I samba_renewed.py FOLDER
"""

import sys
import uuid
from pathlib import Path

import ldb
from samba.auth import system_session
from samba.dcerpc import misc
from samba.ndr import ndr_pack
from samba.param import LoadParm
from samba.samdb import SamDB


def main() -> None:
    folder = Path(sys.argv[1])
    settings = LoadParm()
    settings.load(str(folder / "smb.conf"))
    url = str(folder / "private" / "sam.ldb")
    database = SamDB(url=url, session_info=system_session(), lp=settings)
    change = ldb.Message(ldb.Dn(database, database.get_dsServiceName()))
    fresh = ndr_pack(misc.GUID(str(uuid.uuid4())))
    change["invocationId"] = ldb.MessageElement(fresh, ldb.FLAG_MOD_REPLACE, "invocationId")
    database.modify(change, ["relax:0", "provision:0"])


main()

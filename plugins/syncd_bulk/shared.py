"""What another plugin of this distribution may use of this one: readers and writers of files, and nothing else.

A platform that writes files is a ``FilePlatform`` (rows kept from run to run, batches, adoption) over ``drafted``
files (whole or not there at all); a source that reads one is a ``FileSource``. ``ldifwriter`` makes the records.
"""

from . import ldifwriter
from .batch import Batch, Stored
from .csvfile import CsvFile, CsvRow
from .inputs import Copy
from .ldifoptions import Template, alone, check_dn, check_names, template_of
from .outputs import Draft, drafted, hidden, open_own, publish, shape, translated
from .platform import (
    FilePlatform,
    OutputOptions,
    Switch,
    check_key,
    fields_of,
    problem_of,
    texts_of,
)
from .rows import BadFile, Fault
from .source import FileOptions, FileSource, Found, disabling

__all__ = [
    "BadFile",
    "Batch",
    "Copy",
    "CsvFile",
    "CsvRow",
    "Draft",
    "Fault",
    "FileOptions",
    "FilePlatform",
    "FileSource",
    "Found",
    "OutputOptions",
    "Stored",
    "Switch",
    "Template",
    "alone",
    "check_dn",
    "check_key",
    "check_names",
    "disabling",
    "drafted",
    "fields_of",
    "hidden",
    "ldifwriter",
    "open_own",
    "problem_of",
    "publish",
    "shape",
    "template_of",
    "texts_of",
    "translated",
]

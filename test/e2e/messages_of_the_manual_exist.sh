#!/bin/sh
# SPDX-License-Identifier: ISC
# Each message that the README and the manual pages explain stands in the sources as they say it.
set -eu

cd "$(dirname "$0")/../.."
python3 - <<'PYTHON'
import glob
import re

TITLE = "when something does not work"
# Strings of the sources with their pieces joined, and what is filled in as a blank.
source = "\n".join(open(f).read() for d in ("cmd", "lib", "proto") for f in glob.glob(d + "/**/*.[ch]", recursive=True))
source = re.sub(r'"\s*\n\s*"', "", source)
source = re.sub(r" *%[-.*0-9]*(?:ll|z)?[a-z] *", " ", source)
# A code's name stands in front of what follows, and is a string of its own; the system's own words stand behind.
CODES = {m for m in re.findall(r'\[CODE_[A-Z_]+\] = "([a-z ]+)"', source)}
SYSTEM = ("Connection refused", "Permission denied", "Not Found", "Bad Gateway")


def fragments(message):
    """What must stand in the sources: the message without names in capitals, numbers and what others say."""
    for word in SYSTEM:
        message = message.replace(word, "")
    code, colon, rest = message.partition(": ")
    if code in CODES:
        yield code
        message = rest if colon else ""
    for part in re.split(r"\.\.\.|\b(?:HOST|PORT|NAME|N)\b|\b[0-9]{3}\b", message):
        if len(part.strip(" :")) > 3:
            yield part.strip(" :")


def of_readme():
    text = open("README.md").read()
    part = re.split(r"^## ", text, flags=re.M)
    rows = [p for p in part if p.lower().startswith(TITLE)][0]
    return re.findall(r"^\| `([^`]+)` \|", rows, flags=re.M)


def of_page(name):
    part = re.split(r"^\.Sh ", open(name).read(), flags=re.M)
    here = [p for p in part if p.lower().startswith(TITLE)]
    return re.findall(r"^\.It Li (.*)$", here[0], flags=re.M) if here else []


bad = 0
for name in ["README.md", *sorted(glob.glob("man/*.1"))]:
    messages = of_readme() if name == "README.md" else of_page(name)
    print("%s: %d messages" % (name, len(messages)))
    for message in messages:
        for f in fragments(message):
            if f not in source:
                bad += 1
                print('%s: "%s": no "%s" in the sources' % (name, message, f))
assert len(of_readme()) > 10 and bad == 0
PYTHON

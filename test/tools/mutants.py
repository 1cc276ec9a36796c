#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mutants - how many small mistakes in the product its tests notice.

Puts one mistake at a time into a copy of the tree, builds the object and the unit tests that link it, and runs these, the nearest first,
until one fails: that mistake is killed. With --e2e the end-to-end scripts for its part follow. Mistakes are drawn by a seed, the same number
in each area: another comparison, a negated condition, a number off by one, a statement left out. One that the compiler makes the
same code of is no mistake, and is drawn again; lines of log and assertions are left alone.

With --san the units that left it alone are asked again under ASan and UBSan, as `make check` does: they notice what is lost, and what
is read or written beside its place.

Prints the share that was killed and the survivors. `make units` (and with --e2e `make all test-tools`) comes first: `make mutants`.
"""
import argparse
import fnmatch
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

AREAS = ("lib", "proto", "cmd")
OBJECTS = "build/default"
SAN = ["SAN=address,undefined", "WERROR=0"]
SAN_OBJECTS = "build/address-undefined"
SAN_NEAR = 6
SANITIZED = " under ASan"
ASAN_ENV = {"ASAN_OPTIONS": "detect_stack_use_after_return=1"}
UNIT_LIMIT_S = 60
SCRIPT_LIMIT_S = 180
FLIPPED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
# Which end-to-end scripts are near a file: the first pattern that matches.
NEAR = (
    ("lib/tls/*", "*tls* *wss* *certificate*"), ("lib/ws/*", "websocket* many_streams* hostile*"),
    ("lib/http/*", "http* hostile* health* slow_handshakes*"),
    ("lib/*", "local_forward* many_streams* last_words* stalled* listen_kinds* lost_link* ready_file* inner_addresses* bulk*"),
    ("proto/creds*", "credentials* revoked* rights* wrong_secret*"),
    ("proto/*", "many_streams* stalled* frozen* lost_link* goodbyes* last_words* one_client* independent* hoarders* local_forward*"),
    ("cmd/agent/*", "agent* allow* broken_services* drain* goodbyes* half_open* inner* replaced* revoked* last_words* relay_lies*"),
    ("cmd/connect/*", "local_forward* socks* stdio* forwards* hangups* unknown_agent* what_was* last_words* second_signal* broken_services*"),
    ("cmd/relay/*", "client_limit* credentials* descriptor* drain* health* hostile* listen* one_client* replaced* revoked* rights* sigterm* slow* "
                    "stalled* tls_reload* unknown* wrong* frozen*"),
    ("*", "ssh_through* dispatch* help* local_forward* stdio* agent* http_proxy* lost_link* wrong_secret* half_open* keygen*"),
)


# ---- what can go wrong where ----

def blank(text):
    """The source with comments, strings and directives as blanks of the same length."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:\\\n|[^\n])*'
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S | re.M)


def bodies(code):
    """(begin, end) of each function's body: the style has its braces at the line's begin."""
    return [m.span() for m in re.finditer(r"^\{\n.*?^\}", code, re.S | re.M)]


def closing(code, at):
    """Where the parenthesis that opens at `at` ends."""
    depth = 0
    for i in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return None


def sites(path, text):
    """[(kind, begin, end, what stands there instead)]"""
    code, found = blank(text), []
    spoken = [(m.start(), closing(code, m.end() - 1) or m.end()) for m in re.finditer(r"\b(?:log_\w+|assert|_Static_assert)\s*\(", code)]

    def add(kind, begin, end, new):
        if not any(a <= begin <= b for a, b in spoken):
            found.append((kind, begin, end, new))
    for a, b in bodies(code):
        body = code[a:b]
        for m in re.finditer(r"(?<![<>=!\-])(<=|>=|==|!=|<|>)(?![<>=])", body):
            add("comparison", a + m.start(), a + m.end(), FLIPPED[m[1]])
        for m in re.finditer(r"\b(?:if|while) (\()", body):
            begin, end = a + m.start(1), closing(code, a + m.start(1))
            add("negation", begin, end + 1, "(!" + text[begin:end + 1] + ")")
        for m in re.finditer(r"(?<![\w.])(\d+)(?![\w.])(?!\s*:)", body):
            line = body[body.rfind("\n", 0, m.start()) + 1:m.start()]
            if re.fullmatch(r"\t+(?:\w+ )+\**\w+\[[^\]=]*", line):
                continue  # the size of an array, which mostly may be larger
            add("off by one", a + m.start(), a + m.end(), str(int(m[1]) + 1))
        for m in re.finditer(r"^\t+((?!return|goto|break|continue|case|default|else|if|for|while|do\b)[\w*(][^;{}\n]*;)$", body, re.M):
            line = m[1]
            call = re.fullmatch(r"[\w>.\-\[\]]+\(.*\);", line)
            assignment = re.fullmatch(r"[\w>.\-\[\]*()]+(?:\s*[+\-|&^*]?=[^=].*|\+\+|--);", line)
            if (call or assignment) and line.count("(") == line.count(")"):
                add("left out", a + m.start(1), a + m.end(1), ";")
    return [(path, *f) for f in found]


def sources(root, area):
    """The .c files of an area: folders and files, with + between them."""
    for part in area.split("+"):
        if part.endswith(".c"):
            yield part
        for folder, _, names in sorted(os.walk(os.path.join(root, part))):
            yield from (os.path.relpath(os.path.join(folder, n), root) for n in sorted(names) if n.endswith(".c"))


def sites_of(root, path):
    with open(os.path.join(root, path)) as f:
        return sites(path, f.read())


def draw(root, area, rnd):
    """Endless mutants of an area: each kind as often as the others."""
    kinds = {}
    for path in sources(root, area):
        for site in sites_of(root, path):
            kinds.setdefault(site[1], []).append(site)
    for group in kinds.values():
        rnd.shuffle(group)
    while any(kinds.values()):
        for kind in sorted(kinds):
            if kinds[kind]:
                yield kinds[kind].pop()


# ---- building and running ----

class Tree:
    """A copy of the work tree with its objects."""

    def __init__(self, source, san):
        self.root = tempfile.mkdtemp(prefix="tunnel-mutants.")
        files = subprocess.run(["git", "-C", source, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True).stdout
        subprocess.run(["cp", "-a", "--parents", *[f for f in files.split("\n") if f and os.path.exists(os.path.join(source, f))], self.root],
                       cwd=source, check=True)
        os.mkdir(os.path.join(self.root, "build"))
        for name in ("default", "test", *([os.path.basename(SAN_OBJECTS)] if san else [])):
            if os.path.exists(os.path.join(source, "build", name)):
                subprocess.run(["cp", "-a", os.path.join(source, "build", name), os.path.join(self.root, "build")], check=True)
        os.symlink(os.path.realpath(os.path.join(source, "build/deps")), os.path.join(self.root, "build/deps"))
        if self.run(["make", "-s", "-j2", "units"], 1800) or self.run(["make", "-s", "compile_commands.json"], 60):
            sys.exit("the tree does not build: run `make units`")
        if san and self.run(["make", "-s", "-j2", *SAN, "units"], 1800):
            sys.exit("the tree does not build with sanitizers")
        with open(self.path("compile_commands.json")) as f:
            self.commands = {c["file"]: c["command"].split(" -c ")[0] for c in json.load(f)}
        self.plain, self.symbols = {}, {}
        self.units = sorted(f"{OBJECTS}/unit/{os.path.relpath(os.path.join(d, n), self.path('test/unit'))[:-2]}"
                            for d, _, names in os.walk(self.path("test/unit")) for n in names if n.endswith("_test.c"))
        for unit in self.units:
            self.symbols[unit] = self.defined(unit)
        self.units = self.good(self.units, UNIT_LIMIT_S)
        self.san_units = self.good([u.replace(OBJECTS, SAN_OBJECTS) for u in self.units], 3 * UNIT_LIMIT_S) if san else []

    def good(self, units, limit_s):
        broken = [u for u in units if self.run([self.path(u)], limit_s, **ASAN_ENV)]
        if broken:
            print("fail without a mutant, and are left out: " + " ".join(broken))
        return [u for u in units if u not in broken]

    def path(self, name):
        return os.path.join(self.root, name)

    def run(self, cmd, limit_s, **env):
        """Whether it failed. What it has started and left goes with it."""
        with open(self.path("build/run.log"), "w") as log:
            # As test/run: under nohup they would ignore SIGHUP.
            p = subprocess.Popen(["env", "--default-signal=HUP", *cmd], cwd=self.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                 env={**os.environ, **env, "MAKEFLAGS": ""})
            try:
                return p.wait(limit_s) != 0
            except subprocess.TimeoutExpired:
                return True
            finally:
                try:
                    os.killpg(p.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                p.wait()

    def defined(self, name):
        told = subprocess.run(["nm", "-g", "--defined-only", self.path(name)], capture_output=True, text=True).stdout
        return {line.split()[-1] for line in told.splitlines() if line}

    def object(self, path, to):
        """Compiles without line numbers; the object's bytes, None if it does not compile."""
        if self.run([*self.commands[path].split(), "-g0", "-w", "-c", path, "-o", to], 120):
            return None
        with open(self.path(to), "rb") as f:
            return f.read()

    def plant(self, path, text):
        """True if the text makes another object; then the object is in its place."""
        to = f"{OBJECTS}/{path[:-2]}.o"
        if path not in self.plain:
            self.plain[path] = self.object(path, "build/plain.o")
        with open(self.path(path), "w") as f:
            f.write(text)
        made = self.object(path, "build/mutant.o")
        if made is None or made == self.plain[path]:
            return False
        shutil.move(self.path("build/mutant.o"), self.path(to))
        return True

    def near_units(self, path):
        """The unit tests that hold something of this file, the nearest first."""
        ours = self.defined(f"{OBJECTS}/{path[:-2]}.o") - {"main"}
        stem, room = os.path.basename(path)[:-2], path.split("/")[-2]

        def distance(unit):
            name, folder = os.path.basename(unit)[:-len("_test")], unit.split("/")[-2]
            return (name != stem, not (name.startswith(stem) or stem.startswith(name)), name.split("_")[0] != stem.split("_")[0], folder != room, unit)
        return sorted((u for u in self.units if self.symbols[u] & ours), key=distance)

    def killed_by_unit(self, path, most):
        near = self.near_units(path)[:most]
        for some in near[:2], near[2:]:  # the first ones kill most
            if some and self.run(["make", "-s", *some], 600):
                return "the build of " + " ".join(some)
            for unit in some:
                if self.run([self.path(unit)], UNIT_LIMIT_S, CMOCKA_MESSAGE_OUTPUT="TAP"):
                    return os.path.basename(unit)
        return None

    def killed_under_san(self, path):
        """make compiles the mutant by itself, since its source is newer; one that a sanitizer's build refuses is not killed by that."""
        near = [u.replace(OBJECTS, SAN_OBJECTS) for u in self.near_units(path)]
        near = [u for u in near if u in self.san_units][:SAN_NEAR]
        if near and self.run(["make", "-s", *SAN, *near], 600):
            return None
        for unit in near:
            if self.run([self.path(unit)], 3 * UNIT_LIMIT_S, CMOCKA_MESSAGE_OUTPUT="TAP", **ASAN_ENV):
                return os.path.basename(unit) + SANITIZED
        return None

    def killed_by_script(self, path):
        patterns = next(p for where, p in NEAR if fnmatch.fnmatch(path, where)).split()
        if self.run(["make", "-s", "all", "test-tools"], 300):
            return "the build"
        for name in sorted(os.listdir(self.path("test/e2e"))):
            if name.endswith(".sh") and any(fnmatch.fnmatch(name, p) for p in patterns):
                if self.run(["sh", f"test/e2e/{name}"], SCRIPT_LIMIT_S, TUNNEL_BIN=self.path("tunnel"), TUNNEL_TOOLS=self.path("build/test"),
                            TUNNEL_SAN="", TUNNEL_TEST_THREADS="", TMPDIR=self.root):
                    return name
        return None

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


def judge(tree, site, args):
    """None if the mistake is none; else what killed it, "" if nothing did."""
    path, _, begin, end, new = site
    with open(tree.path(path)) as f:
        text = f.read()
    try:
        if not tree.plant(path, text[:begin] + new + text[end:]):
            return None
        return (tree.killed_by_unit(path, args.near) or args.san and tree.killed_under_san(path) or
                args.e2e and tree.killed_by_script(path) or "")
    finally:
        with open(tree.path(path), "w") as f:
            f.write(text)
        tree.object(path, f"{OBJECTS}/{path[:-2]}.o")


def line_of(root, site):
    with open(os.path.join(root, site[0])) as f:
        return f.read().count("\n", 0, site[2]) + 1


def draw_at(root, places):
    """All mutants of the lines FILE:LINE."""
    for place in places:
        path, line = place.rsplit(":", 1)
        yield from (s for s in sites_of(root, path) if line_of(root, s) == int(line))


def told(root, site):
    path, kind, begin, end, new = site
    with open(os.path.join(root, path)) as f:
        text = f.read()
    show = lambda s: " ".join(s.split())
    line = line_of(root, site)
    whole = text[text.rfind("\n", 0, begin) + 1:text.find("\n", end)]
    return f"{path}:{line}: {kind}: {show(text[begin:end])[:60]} -> {show(new)[:60]}   [{show(whole)[:100]}]"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--each", type=int, default=40, help="mutants in each area")
    p.add_argument("--areas", default=",".join(AREAS), help="folders, for example lib,proto or cmd/connect; one area may be several: lib/http+lib/net/udp.c")
    p.add_argument("--at", help="every mutant of these lines instead, for example lib/net/udp.c:20,lib/net/buf.c:7")
    p.add_argument("--minutes", type=float, default=60, help="no new mutant after that")
    p.add_argument("--near", type=int, default=12, help="unit tests for one mutant, at most")
    p.add_argument("--san", action="store_true", help="what the units leave is given to the nearest of them under ASan and UBSan")
    p.add_argument("--e2e", action="store_true", help="what the units leave is given to the end-to-end scripts near it")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    end = time.monotonic() + args.minutes * 60
    areas = ["at"] if args.at else args.areas.split(",")
    tree = Tree(os.getcwd(), args.san)
    source = {a: draw(tree.root, a, random.Random(f"{args.seed} {a}")) for a in areas}
    if args.at:
        source = {"at": draw_at(tree.root, args.at.split(","))}
    result = {a: {"units": 0, "san": 0, "scripts": 0, "left": []} for a in areas}
    done = dict.fromkeys(areas, 0)
    try:
        while time.monotonic() < end and any(n < args.each for n in done.values()):
            for area in [a for a in areas if done[a] < args.each]:
                site, by = None, None
                while by is None:
                    site = next(source[area], None)
                    by = "" if site is None else judge(tree, site, args)
                if site is None:
                    done[area] = args.each
                    continue
                done[area] += 1
                if not by:
                    result[area]["left"].append(told(tree.root, site))
                else:
                    result[area]["scripts" if by.endswith(".sh") else "san" if by.endswith(SANITIZED) else "units"] += 1
                print(f"{done[area]}/{args.each} {'killed by ' + by if by else 'SURVIVES'}: {told(tree.root, site)}", file=sys.stderr, flush=True)
    finally:
        tree.remove()
    for area, r in result.items():
        n = r["units"] + r["san"] + r["scripts"] + len(r["left"])
        under_san = f", {r['san']} more by them under ASan and UBSan" if args.san else ""
        by_scripts = f", {r['scripts']} more by end-to-end scripts" if args.e2e else ""
        print(f"{area}: {r['units']} of {n} killed by units{under_san}{by_scripts}: {(n - len(r['left'])) / max(n, 1):.0%}")
    for line in sorted(line for r in result.values() for line in r["left"]):
        print(line)


main()

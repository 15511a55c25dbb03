#!/usr/bin/env python3
"""Holds Kiln's verdicts on a folder of templates against a table of Packer's.

    tests/corpus/check.py --kiln PROGRAM FOLDER

FOLDER/units.tsv has one row per unit: what is given on the command line, and what Packer made of it. For each unit:

    syntax    `validate -syntax-only` passes or fails as in `expect_syntax_only`.
    validate  Full `validate` ends as in `expect_validate`, if Kiln has all components of the unit (it is asked for each one).
    inspect   `inspect` shows the variables, locals and builds of the unit's file in inspect/, value by value.
    fmt, fix  end without a crash.

A disagreement that stands in kiln-is-right.tsv beside this file is told as such and not counted.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 60  # seconds; a run takes milliseconds

# Complaints that say that the network is missing.
NETWORK = re.compile(r"checksum|download|dns|connect|resolve|https?://|unreachable", re.I)

# What makes values differ from run to run, and what they differ in.
MOVING = re.compile(r"timestamp|isotime|strftime|formatdate|uuidv4|uuid")
NAMES_OF_TIME = re.compile(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)\w*")
HEXADECIMAL = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


class Ran:
    """What one run of Kiln printed and how it ended."""

    def __init__(self, code, text):
        self.code, self.text = code, text

    @property
    def crash(self):
        if self.code is None:
            return f"no end within {LIMIT} s"
        if self.code < 0 or self.code > 3 or "panicked at" in self.text:
            return f"crash ({self.code})"
        return None

    def first_complaint(self):
        lines = [line for line in self.text.splitlines() if line.startswith(("Error: ", "Warning: "))]
        errors = [line for line in lines if line.startswith("Error: ")]
        return (errors or lines or self.text.splitlines() or [""])[0][:160]


class Kiln:
    def __init__(self, program, scratch):
        self.program, self.scratch = str(pathlib.Path(program).resolve()), scratch
        self.environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(scratch), "TMPDIR": str(scratch), "PACKER_NO_COLOR": "1"}
        self.known = {}

    def run(self, words, cwd):
        try:
            ran = subprocess.run(
                [self.program, *words], cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return Ran(None, "")
        return Ran(ran.returncode, (ran.stdout + ran.stderr).decode("utf-8", "replace"))

    def has_command(self, name):
        return self.run([name, "-h"], self.scratch).code == 0

    def has(self, kind, name):
        """Whether there is a component of that kind and name: Kiln is asked with the smallest template that uses it."""
        if (kind, name) not in self.known:
            self.known[kind, name] = self.ask(kind, name)
        return self.known[kind, name]

    def ask(self, kind, name):
        used = {"builder": "null", "provisioner": None, "post-processor": None} | {kind: name}
        body = "".join(f'  {role} "{used[role]}" {{}}\n' for role in ("provisioner", "post-processor") if used[role])
        path = self.scratch / f"probe-{kind}-{name}.pkr.hcl"
        path.write_text(f'source "{used["builder"]}" "x" {{}}\nbuild {{\n  sources = ["source.{used["builder"]}.x"]\n{body}}}\n')
        return "Unknown " not in self.run(["validate", str(path)], self.scratch).text


class Unit:
    def __init__(self, row, folder, scratch):
        self.row = row
        self.repo = folder / row["repo"].replace("/", "+")
        self.scratch = scratch
        self.cwd = self.repo / row["cwd"]
        # Packer was given the whole path.
        self.path = str(self.repo if row["path"] == "." else self.repo / row["path"])

    @property
    def label(self):
        return f"{self.row['id']} {self.row['repo']} {self.row['path']}"

    def moves(self):
        """Whether the template asks for times or random names."""
        place = pathlib.Path(self.path)
        files = place.glob("*.pkr.*") if place.is_dir() else [place]
        return any(MOVING.search(file.read_text(errors="replace")) for file in files)

    def components(self):
        columns = {"builder": "builders", "provisioner": "provisioners", "post-processor": "post_processors"}
        return [(kind, name) for kind, column in columns.items() for name in self.row[column].split(",") if name]

    def words(self, column):
        """Arguments of the table; paths of var files are relative to the repository."""
        return [self.var_file(word) if word.startswith("-var-file=") else word for word in self.row[column].split()]

    def var_file(self, word):
        path = self.repo / word.removeprefix("-var-file=")
        if path.suffix in (".example", ".sample"):
            # A person would copy it to the name without that.
            copy = self.scratch / self.row["repo"].replace("/", "+") / path.relative_to(self.repo).with_suffix("")
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                # In one go: another unit may be reading it.
                half = copy.with_name(f"{copy.name}.{threading.get_ident()}")
                shutil.copy(path, half)
                half.rename(copy)
            path = copy
        return f"-var-file={path}"


# --- verdicts -----------------------------------------------------------------------------------------------


def check_syntax(kiln, unit):
    # The table's verdict is on the template alone, without variables.
    ran = kiln.run(["validate", "-syntax-only", unit.path], unit.cwd)
    wanted = unit.row["expect_syntax_only"]
    got = "pass" if ran.code == 0 else "fail"
    if ran.crash or got != wanted:
        return f"{ran.crash or got} instead of {wanted}: {ran.first_complaint()}"
    return None


def check_validate(kiln, unit):
    words = unit.words("validate_args")
    ran = kiln.run(["validate", *words, unit.path], unit.cwd)
    if ran.code == 1 and (missing := missing_files(ran.text, unit)):
        ran = with_files(kiln, unit, words, missing)
    wanted, why = unit.row["expect_validate"], unit.row["why"]
    if ran.crash:
        return ran.crash
    passed = ran.code == 0
    told = f"{'passes' if passed else 'fails'} instead of {wanted} ({why}): {ran.first_complaint()}"
    if wanted == "pass" or wanted.startswith("pass-likely"):
        return None if passed else told
    if wanted.startswith("pass-if (checksum"):
        return None if passed or NETWORK.search(ran.text) else told
    if wanted.startswith("pass-if (referenced"):
        return None if passed or missing_files(ran.text, unit) else told
    # What Packer refuses, Kiln must refuse, for the same reason where the table names one.
    if passed or not names_one_reason(ran.text, why):
        return told
    return None


def missing_files(text, unit):
    """Files that a run asks for and that are not there."""
    text = " ".join(text.split())
    named = re.findall(r"Bad [\w-]+ '([^']+)' (?:on .{0,2000}?)?It cannot be read: No such file", text)
    named += re.findall(r'cannot read "([^"]+)": No such file', text)
    named += re.findall(r"([^\s\"'()]+): no such file or directory", text, re.I)
    return {pathlib.Path(os.path.normpath(unit.cwd / name)) for name in named if not os.path.exists(unit.cwd / name)}


def lacks_files(kiln, unit):
    return bool(missing_files(kiln.run(["validate", *unit.words("inspect_args"), unit.path], unit.cwd).text, unit))


def with_files(kiln, unit, words, missing):
    """The run once more, in a copy of the repository that has the files: the folder lacks scripts and keys."""
    home = unit.scratch / "copies" / unit.row["id"]
    copy = home / unit.repo.name
    shutil.copytree(unit.repo, copy, symlinks=True)
    moved = Unit(unit.row, home, unit.scratch)
    moved.cwd.mkdir(parents=True, exist_ok=True)
    ran = None
    for _ in range(8):
        for path in missing:
            if unit.repo in path.parents:
                path = copy / path.relative_to(unit.repo)
            if copy in path.parents:
                make_file(path)
        ran = kiln.run(["validate", *[word.replace(str(unit.repo), str(copy)) for word in words], moved.path], moved.cwd)
        missing = missing_files(ran.text, moved)
        if ran.code != 1 or not missing:
            break
    shutil.rmtree(home)
    return ran


def make_file(path):
    """A file that will do: a key where a key is wanted, else an empty one."""
    if path.exists() or path.parent.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if re.search(r"id_(rsa|ed25519)$|[.]pem$|key", path.name):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, stdin=subprocess.DEVNULL)
    else:
        path.touch()


def names_one_reason(text, why):
    """Whether a text names one of the things that a reason is about (`reject: deprecated-key cpu; unknown-key ram_size`)."""
    _, _, reasons = why.partition(": ")
    names = [re.findall(r"[\w-]+", reason.replace("no longer exists", ""))[-1:] for reason in reasons.split(";") if reason.strip()]
    names = [name for name in sum(names, []) if not name.isdigit()]
    return not names or any(name.lower() in text.lower() for name in names)


# --- inspect ------------------------------------------------------------------------------------------------


def unquote(text):
    """The text between Go's double quotes."""
    simple = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"', "\\": "\\"}
    code = lambda m: simple[m[1]] if m[1] in simple else chr(int(m[1][1:], 16))
    return re.sub(r'\\([ntrabfv"\\]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})', code, text[1:-1])


def read_hcl2(text):
    """Everything that `inspect` shows of an HCL2 template, by name."""
    facts = {}
    head, _, builds = text.partition("> builds:")
    for line in head.splitlines():
        name, _, value = line.partition(": ")
        if name.startswith(("var.", "local.")):
            facts[name] = unquote(value)
    build, section = "", ""
    for line in builds.splitlines():
        if line.startswith("  > Description:"):
            facts[f"{build} description"] = line.partition(":")[2].strip()
        elif line.startswith("  > "):
            build = f"build {line[4:-1]} #{sum(1 for name in facts if name.startswith('build ') and name.endswith(' shown'))}"
            facts[f"{build} shown"] = "yes"
        elif re.match(r"    [\w-]+:$", line):
            section = line.strip(" :")
            facts[f"{build} {section}"] = []
        elif line.startswith("      ") and line.strip():
            facts[f"{build} {section}"].append(line.strip())
        elif line.strip() and f"{build} description" in facts:
            facts[f"{build} description"] += f"\n{line.strip()}"
    return facts


def read_json(text):
    """Everything that `inspect` shows of a legacy template, by name."""
    facts, section = {}, ""
    heads = {"Description:": "description", "Required variables:": "required", "Optional variables and their defaults:": "optional",
             "Variables:": "variables", "Builders:": "builders", "Provisioners:": "provisioners"}  # fmt: skip
    for line in text.partition("\nNote: If")[0].splitlines()[1:]:
        if line in heads:
            section = heads[line]
            facts.setdefault(section, [])
        elif section and line.strip():
            facts[section].append(re.sub(r"\s+", " ", line.strip()))
    # Packer's order of these is random.
    for name in ("required", "optional", "builders"):
        if name in facts:
            facts[name].sort()
    return facts


def same(ours, theirs, moves):
    """Whether two facts agree; in a template that asks for times, but for what a time may look like."""
    if ours == theirs:
        return True
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return all(same(mine, other, moves) for mine, other in zip(ours, theirs))
    if not (isinstance(ours, str) and isinstance(theirs, str)):
        return False
    if covers(ours, theirs) or not moves:
        return covers(ours, theirs)
    still = lambda text: re.sub(r"\d", "0", NAMES_OF_TIME.sub("<name>", HEXADECIMAL.sub("<uuid>", text)))
    return still(ours) == still(theirs) or covers(still(ours), still(theirs))


def covers(ours, theirs):
    """Whether Kiln hides what Packer hides and perhaps more, or the table leaves a part open."""
    if "@ELSEWHERE@" in theirs:
        theirs = re.escape(theirs).replace("@ELSEWHERE@", r"[^\s\"]*")
        return re.fullmatch(theirs, ours) is not None
    pattern = re.escape(ours).replace(re.escape("<sensitive>"), ".*")
    return "<sensitive>" in theirs and re.fullmatch(pattern, theirs, re.S) is not None


def differences(ours, theirs, moves):
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name), theirs.get(name)
        if not same(mine, other, moves):
            yield f"{name}: {shorten(mine, other)} instead of {shorten(other, mine)}"


def shorten(value, beside):
    """A value, or that part of it where it begins to differ from another."""
    text = "nothing" if value is None else repr(value)
    common = len(os.path.commonprefix([text, repr(beside)]))
    start = max(0, common - 20) if len(text) > 120 else 0
    return ("…" if start else "") + text[start : start + 120] + ("…" if len(text) > start + 120 else "")


def check_inspect(kiln, unit, folder):
    ran = kiln.run(["inspect", *unit.words("inspect_args"), unit.path], unit.cwd)
    if ran.crash:
        return ran.crash
    theirs = (folder / "inspect" / unit.row["inspect"]).read_text().replace("@REPO@", str(unit.repo))
    read = read_json if "JSON mode" in theirs.partition("\n")[0] else read_hcl2
    if ran.code != 0:
        return f"fails: {ran.first_complaint()}"
    ours, theirs = read(ran.text), read(theirs)
    found = list(differences(ours, theirs, unit.moves()))
    if found and all(name.startswith("local.") for name in theirs.keys() - ours.keys()) and lacks_files(kiln, unit):
        # The folder lacks a file that a local is made from; the rest must agree all the same.
        found = list(differences(ours, {name: fact for name, fact in theirs.items() if name in ours}, unit.moves()))
    return "; ".join(found[:4]) + (f"; and {len(found) - 4} more" if len(found) > 4 else "") if found else None


def check_no_crash(kiln, unit, words):
    return kiln.run([*words, unit.path], unit.cwd).crash


# --- all of it ----------------------------------------------------------------------------------------------


def checks_of(kiln, unit, folder, commands):
    """The checks of one unit: names and functions that give nothing or a disagreement."""
    row = unit.row
    yield "syntax", lambda: check_syntax(kiln, unit)
    judged = not row["expect_validate"].startswith(("not checked", "?")) and not row["why"].startswith("plugin-missing")
    if judged and all(kiln.has(kind, name) for kind, name in unit.components()):
        yield "validate", lambda: check_validate(kiln, unit)
    if row["inspect"] and "inspect" in commands:
        yield "inspect", lambda: check_inspect(kiln, unit, folder)
    if row["kind"] != "json" and "fmt" in commands:
        yield "fmt", lambda: check_no_crash(kiln, unit, ["fmt", "-check"])
    if row["kind"] == "json" and "fix" in commands:
        yield "fix", lambda: check_no_crash(kiln, unit, ["fix"])


def read_table(path):
    lines = path.read_text().splitlines()
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t") + [""] * len(head))) for line in lines[1:] if line]


def allowances():
    """Repository, path and check of each disagreement in which Kiln is right."""
    return {(row["repo"], row["path"], row["check"]): row["reason"] for row in read_table(HERE / "kiln-is-right.tsv")}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--kiln", required=True)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--only", help="a check: syntax, validate, inspect, fmt or fix")
    given = arguments.parse_args()
    folder = given.folder.resolve()
    right = allowances()
    made, wrong, excused = collections.Counter(), [], 0
    with tempfile.TemporaryDirectory(prefix="kiln-corpus") as scratch:
        scratch = pathlib.Path(scratch)
        kiln = Kiln(given.kiln, scratch)
        commands = {name for name in ("inspect", "fmt", "fix") if kiln.has_command(name)}
        for name in sorted({"inspect", "fmt", "fix"} - commands):
            print(f"kiln {name} is not there: skipped")
        units = [Unit(row, folder, scratch) for row in read_table(folder / "units.tsv")]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            pending = [(unit, name, pool.submit(check)) for unit in units for name, check in checks_of(kiln, unit, folder, commands)
                       if given.only in (None, name)]  # fmt: skip
            for unit, name, check in pending:
                made[name] += 1
                disagreement = check.result()
                reason = right.get((unit.row["repo"], unit.row["path"], name))
                if disagreement and reason:
                    excused += 1
                elif disagreement:
                    wrong.append(name)
                    print(f"{unit.label}: {name}: {' '.join(disagreement.split())}")
    print("checked: " + ", ".join(f"{count} {name}" for name, count in made.items()) + f"; Kiln is right in {excused} more")
    print(f"disagreements: {len(wrong)} of {sum(made.values())}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

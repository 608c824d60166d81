"""The pages say what the code says."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

import reference
from matrixhub.api import crd

CHECKOUT = Path(__file__).resolve().parents[2]
CODE = CHECKOUT / "operator" / "matrixhub"
DOCS = CHECKOUT / "docs"

MAKERS = {
    "Condition": 1,
    "Demand": 2,
    "Finding": 0,
    "News": 0,
    "Outcome": 1,
    "Refuse": 0,
    "Rejected": 0,
    "Transient": 0,
    "Trouble": 0,
    "_Changed": 0,
    "_Need": 1,
    "_NotFound": 0,
    "_held": 1,
    "_ready": 1,
    "_say": 2,
    "tell": 1,
}
"""What is called with a reason, and the place of the reason among its arguments."""
TABLES = {
    "backends/database.py": "_PASSING",
    "backends/kafka/session.py": "_REASONS",
    "backends/objectstore/refusals.py": "sentences",
    "engine/status.py": "_DONE",
}
"""Where a module's reasons stand in a table; of a mapping whose values are sentences they are the keys."""
REASON = re.compile(r"[A-Z][a-z]+([A-Z][a-z]*)*")


@cache
def reasons() -> set[str]:
    """Every reason that the code can give."""
    found = {
        "AccountLeft",
        "Conflict",
        "DriftRepaired",
        "Recovered",
        "SuccessfulRescale",
        "Unreachable",
        "ValidMetrics",
    }
    for path in sorted(CODE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for reason in arguments(tree):
            if isinstance(reason, ast.Name) and reason.id in constants:
                found.add(str(constants[reason.id]))
            found |= words(reason)
        for table in assigned(tree, {TABLES.get(str(path.relative_to(CODE)), ""), "reason"}):
            found |= words(table)
    return {each for each in found if REASON.fullmatch(each)}


def arguments(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in MAKERS:
            yield from [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            yield from node.args[MAKERS[name] : MAKERS[name] + 1]


def assigned(tree: ast.Module, names: set[str]) -> Iterator[ast.expr]:
    """What is assigned to one of the names, also as one of several."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id in names for target in targets for each in ast.walk(target)):
                yield node.value


def words(expression: ast.expr) -> set[str]:
    return {n.value for n in ast.walk(expression) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def explained() -> set[str]:
    """Every word in code letters in the first column of a table."""
    rows = [
        line.split("|")[1] for line in (DOCS / "reference" / "conditions.md").read_text().splitlines() if "|" in line
    ]
    return {word for row in rows for word in re.findall(r"`(\w+)`", row)}


def test_the_code_is_read_right():
    assert {
        "AuthorizerMissing",  # a table's value
        "BucketNameTaken",  # a table's key
        "FewerSuffice",  # chosen beforehand
        "Locked",  # in a tuple of a table
        "OffsetsReset",  # a constant
        "PartitionsCannotShrink",  # a step that fails
        "Progressing",  # a condition of our own
        "ScaleFailed",
        "ViewNotSecurityInvoker",
    } <= reasons()


def test_every_reason_is_explained_and_every_one_explained_exists():
    types = {"Ready", "Stalled", "ScalingActive"} | {each for each in explained() if each.endswith("Ready")}
    assert reasons() - explained() == set(), "add these to docs/reference/conditions.md"
    assert explained() - reasons() - types == set(), "nothing in the code gives these"


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.name)
def test_every_field_of_a_spec_says_what_happens_when_it_is_changed(kind: crd.Kind):
    silent = [part.path for part in reference.leaves(reference.spec(kind)) if not (part.change or part.inherited)]
    assert silent == [], f"end their descriptions with `{reference.CHANGED}...`"


def test_every_setting_says_what_it_is():
    rows = [line for line in reference.settings().splitlines() if line.startswith("| `MATRIXHUB_")]
    assert rows
    assert [row for row in rows if not row.split("|")[-2].strip()] == []


FOLDERS = [CHECKOUT / name for name in ("dev", "docs", "helm", "manifests", "operator")]
PAGES = sorted([*CHECKOUT.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))])
READMES = [page for page in PAGES if page.name == "README.md" and page.is_relative_to(CODE)]
ALERTS = CHECKOUT / "helm" / "matrixhub" / "files" / "alerts.yaml"


def anchors(page: Path) -> set[str]:
    """What a link to a part of the page may end with, by the rule that Git hosts share."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(page: Path):
    lost = []
    prose = re.sub(r"`[^`\n]*`", "", page.read_text())
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if "://" not in target and not (there.exists() and (not anchor or anchor in anchors(there))):
            lost.append(target)
    assert lost == []


def files_of(readme: Path) -> list[str]:
    """The files of its own folder that the page's tables name in their first column."""
    first = [line.split("|")[1] for line in readme.read_text().splitlines() if line.startswith("|")]
    return [file for cell in first for file in re.findall(r"`(\w+[.]py)`", cell)]


@pytest.mark.parametrize("readme", READMES, ids=lambda page: str(page.parent.relative_to(CODE)))
def test_a_readme_names_each_file_of_its_folder_once(readme: Path):
    there = {path.name for path in readme.parent.glob("*.py")} - {"__init__.py"}
    assert sorted(files_of(readme)) == sorted(there)


def test_every_backend_has_a_readme():
    folders = {path.parent for path in (CODE / "backends").glob("*/__init__.py")}
    assert folders - {page.parent for page in READMES} == set()


def test_the_map_shows_every_part_of_the_code():
    there = {path.name for path in CODE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    rows = re.findall(r"^[|] (`operator/matrixhub/.*?) [|]", (CHECKOUT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = {word for row in rows for each in re.findall(r"`(.+?)`", row) for word in each.split("/")}
    assert there - {"__init__.py"} - named == set(), "add these to CONTRIBUTING.md"


def test_what_calls_itself_pure_is_held_to_it():
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = next(each["source_modules"] for each in contracts if each["name"].startswith("Deciding does no I/O"))
    patterns = [re.compile(each.replace(".", "[.]").replace("*", "[^.]+")) for each in held]
    pure = {
        ".".join(path.relative_to(CODE.parent).with_suffix("").parts)
        for path in CODE.rglob("*.py")
        if re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text())) or "")
    }
    loose = {name for name in pure if not any(pattern.fullmatch(name) for pattern in patterns)}
    assert "matrixhub.engine.queue" in pure
    assert loose == set(), "add these to the import contract in pyproject.toml, or take the word out"


def test_every_alert_has_its_part_of_the_operations():
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert rules
    known = anchors(DOCS / "operations.md")
    assert [rule["alert"] for rule in rules if rule["annotations"]["runbook_url"].partition("#")[2] not in known] == []

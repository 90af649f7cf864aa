"""What is shipped: top level, start-up, public names, the README's commands, the files CI and users rely on."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from processes import environment

import memprog

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOP_LEVEL = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "memprog", "drivers", "profiles", "tests"}
HEAVY = {"numpy", "scipy", "yaml", "safetensors", "pyvisa", "pyvisa_py"}


def run_python(folder: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, in another folder, with this checkout in front."""
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def run_memprog(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the command as its entry point does; also give the top-level modules it imported."""
    code = f"import sys; sys.argv = {['memprog', *arguments]!r}; from memprog.cli import main; sys.exit(main())"
    done = run_python(folder, code, "-X", "importtime")
    imported = re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\w+)", done.stderr, re.MULTILINE)
    done.stderr = re.sub(r"^import time:.*\n", "", done.stderr, flags=re.MULTILINE)
    return done, set(imported)


def readme_blocks() -> list[str]:
    """Contents of the fenced bash blocks, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```bash\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)


def test_top_level_holds_only_what_belongs_there() -> None:
    made_by_tools = {"build", "dist", "__pycache__"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - made_by_tools <= TOP_LEVEL


def test_version_comes_without_the_heavy_imports(tmp_path: Path) -> None:
    done, imported = run_memprog(tmp_path, "--version")
    assert done.returncode == 0, done.stderr
    assert PROJECT["project"]["version"] in done.stdout
    assert "memprog" in imported
    assert imported & (HEAVY | {"rich"}) == set()


def test_help_comes_without_the_heavy_imports(tmp_path: Path) -> None:
    done, imported = run_memprog(tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    assert imported & HEAVY == set()


def test_import_memprog_loads_nothing_heavy(tmp_path: Path) -> None:
    done = run_python(tmp_path, f"import sys, memprog; print(sorted({HEAVY | {'rich', 'click'}!r} & set(sys.modules)))")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_version_of_the_package_is_the_projects() -> None:
    assert memprog.__version__ == PROJECT["project"]["version"]


def test_public_names_resolve_and_are_listed() -> None:
    assert len(memprog.__all__) == len(set(memprog.__all__))
    assert set(memprog.__all__) <= set(dir(memprog))
    assert [name for name in memprog.__all__ if name != "__version__" and name.startswith("_")] == []
    for name in memprog.__all__:
        assert getattr(memprog, name) is not None


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = memprog.no_such_name


def test_readme_begins_with_the_two_commands_that_do_all_the_set_up() -> None:
    assert readme_blocks()[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/memprog demo",
        "python3 -m venv .venv-test && .venv-test/bin/pip install -q -e '.[test]' && .venv-test/bin/pytest -n auto",
    ]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no executable bit")
def test_ci_script_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("not a checkout: the sdist carries no CI")
    assert script.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("package", ["memprog", "drivers/memprog_drivers"])
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_requirements_of_the_tests_leave_out_what_only_training_needs() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert [name for name in extras["test"] if name.startswith(("scikit-learn", "torch"))] == []

"""Does a wheel hold everything that gradstep needs, and nothing else?"""

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    source = ROOT / "src"
    files = {p.relative_to(source).as_posix() for p in (source / "gradstep").rglob("*") if p.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert "gradstep/py.typed" in files
    assert files <= set(wheel.namelist())


def test_the_wheel_holds_only_the_package_and_its_description(wheel):
    assert {name.split("/")[0] for name in wheel.namelist()} == {
        "gradstep",
        f"gradstep-{PROJECT['version']}.dist-info",
    }


def test_the_licences_are_in_the_wheel(wheel):
    licences = [name for name in wheel.namelist() if ".dist-info/licenses/" in name]
    texts = {wheel.read(name) for name in licences}
    assert (ROOT / "LICENSE").read_bytes() in texts
    beside_fonts = [p for p in (ROOT / "src").rglob("*") if p.name.startswith(("OFL", "LICENSE"))]
    assert all(p.read_bytes() in texts for p in beside_fonts)


def test_every_font_has_its_licence_beside_it():
    for font in (ROOT / "src").rglob("*.woff2"):
        assert [p for p in font.parent.iterdir() if p.name.startswith(("OFL", "LICENSE"))], font


def test_the_wheel_works_by_itself(wheel, tmp_path):
    wheel.extractall(tmp_path)
    ask = "import gradstep; print(gradstep.__file__)"
    answer = subprocess.run(
        [sys.executable, "-c", ask],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(answer.stdout.strip()).is_relative_to(tmp_path)


def test_the_command_says_its_version():
    command = Path(sysconfig.get_path("scripts")) / "gradstep"
    answer = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert PROJECT["version"] in answer.stdout


def test_the_heavy_peers_are_in_no_extra_but_their_own():
    extras = PROJECT["optional-dependencies"]
    others = [each for name, extra in extras.items() if name not in ("jax", "torch") for each in extra]
    assert not [r for r in others + PROJECT["dependencies"] if "torch" in r or "jax" in r]

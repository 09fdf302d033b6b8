"""The page of evidence holds the rows that run, and there are enough of them."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "evidence" / "conformance.md"


def test_the_page_of_rows_is_what_the_rows_say() -> None:
    done = subprocess.run(
        [sys.executable, HERE / "evidence.py", "--check", PAGE], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_every_family_has_its_rows_and_together_they_are_many() -> None:
    text = PAGE.read_text(encoding="utf-8")
    families = re.findall(r"^## (.+) \((\d+)\)$", text, re.MULTILINE)

    assert {name for name, _ in families} >= {
        "Framing",
        "Status and documents",
        "Encodings",
        "Redirects",
        "TLS",
        "DNS",
        "Size and time",
    }
    assert sum(int(count) for _, count in families) >= 150

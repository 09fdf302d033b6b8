"""Two thousand answers read by our check, by curl and by requests: every disagreement is explained, and written down."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "evidence" / "differential.md"
NOT_RUN = 3


def compare(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HERE / "compare.py", *words], capture_output=True, text=True, check=False, timeout=110
    )


def test_every_disagreement_with_curl_and_requests_is_explained_and_every_explanation_is_needed() -> None:
    done = compare("--check", PAGE)

    if done.returncode == NOT_RUN:
        pytest.skip(done.stdout.strip())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "2000 answers" in done.stdout


def test_a_comparison_without_its_peers_says_that_it_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    done = compare()

    assert done.returncode == NOT_RUN
    assert done.stdout == "NOT RUN: curl cannot be found, so nothing was compared\n"


def test_the_answers_are_the_same_for_the_same_seed() -> None:
    code = "import answers, hashlib; print(hashlib.sha256(b''.join(a.wire for a in answers.generate(count=500))).hexdigest())"

    digests = {
        subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }

    assert len(digests) == 1

"""The commands around keys, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from run_stream import main
from streamer.audit_log import verify_audit
from streamer.key_log import End, Face, KeyLogReader, Record
from streamer.key_log_grant import GrantReader
from streamer.recipient_keys import read_identity
from streamer.source_packets import digest_video
from tests.key_log_forge import PASSWORD, make_face, make_header, make_patch, make_track, write_log
from tests.media import Recipe, make_video


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


class Desk:
    """A folder with a password, a log of one minute with track 7, and two keys."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.password = folder / "password"
        self.password.write_bytes(PASSWORD)
        self.password.chmod(0o600)
        records: list[Record] = [make_track(7)]
        for second in range(60):
            records += [make_face(7, pts=second), make_patch(7, pts=second, size=50_000)]
        header = make_header(time_base=Fraction(1))
        self.log = write_log(folder / "a.vskl", records, header=header)
        self.public = {}
        for name in ("court", "judge"):
            code, out, _ = run(capsys, "keygen", "--out", folder / name)
            assert code == 0
            self.public[name] = out.strip()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_recipients_are_added_listed_and_removed(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    unlock = ("--password-file", desk.password)
    code, out, _ = run(
        capsys, "recipients", "add", desk.log, "--to", desk.public["court"], "--label", "court",
        *unlock,
    )  # fmt: skip
    assert code == 0
    assert desk.public["court"] in out
    # From here on the secret key is enough.
    key = ("--identity", desk.folder / "court")
    assert run(capsys, "recipients", "remove", desk.log, "--label", "password", *key)[0] == 0
    code, out, _ = run(capsys, "recipients", "list", desk.log, "--json")
    listed = json.loads(out)
    assert listed["generation"] == 2
    assert [row["label"] for row in listed["recipients"]] == ["court"]
    assert run(capsys, "recipients", "remove", desk.log, "--label", "court", *unlock)[0] == 7
    code, _, err = run(capsys, "recipients", "remove", desk.log, "--label", "court", *key)
    assert code == 6
    assert "last recipient" in err


def test_shares_open_together_only(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    both = [part for key in desk.public.values() for part in ("--to", key)]
    code, _, _ = run(
        capsys, "recipients", "add", desk.log, *both, "--threshold", "2",
        "--password-file", desk.password,
    )  # fmt: skip
    assert code == 0
    identities = [read_identity(desk.folder / name) for name in desk.public]
    KeyLogReader.open(desk.log, identities=identities).close()
    one = ("--identity", desk.folder / "court")
    assert run(capsys, "recipients", "remove", desk.log, "--label", "password", *one)[0] == 7


def test_grant_opens_a_span_and_is_noted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    code, device, _ = run(capsys, "keygen", "--device", "--out", desk.folder / "device")
    arguments = (
        "grant", desk.log, "--track", "7", "--from", "0:20", "--to", "39.5",
        "--to-recipient", desk.public["court"], "--by", "owner", "--reason", "case 12",
        "--audit-log", desk.folder / "audit", "--device-key", desk.folder / "device",
        "--password-file", desk.password, "--out",
    )  # fmt: skip
    code, out, _ = run(capsys, *arguments, desk.folder / "grant", "--json")
    assert code == 0
    assert json.loads(out)["copied"] >= 1
    identity = read_identity(desk.folder / "court")
    with GrantReader.open(desk.folder / "grant", desk.log, identity) as reader:
        records = [record for ref in reader.chunks for record in reader.read_chunk(ref)]
    assert sorted(r.pts for r in records if isinstance(r, Face)) == list(range(20, 40))
    code, out, _ = run(capsys, "audit", desk.folder / "audit", "--device", device.strip(), "--json")
    entry: dict[str, Any] = json.loads(out)["entries"][0]
    assert (entry["who"], entry["action"], entry["reason"]) == ("owner", "grant", "case 12")
    assert run(capsys, *arguments, desk.folder / "grant")[0] == 6  # exists


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("recipients", "add", "{log}"), 2),
        (("recipients", "add", "{log}", "--to", "vspub1:abc"), 2),
        (("recipients", "add", "{log}", "--to", "{court}", "--threshold", "2"), 2),
        (("recipients", "remove", "{log}"), 2),
        (("recipients", "list", "{password}"), 6),
        (("keygen", "--out", "{password}"), 2),
        (("audit", "{password}"), 6),
        (("audit", "{password}.none"), 6),
    ],
)
def test_mistakes_are_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int
) -> None:
    filled = [
        text.format(log=desk.log, password=desk.password, court=desk.public["court"])
        for text in arguments
    ]
    found, _, err = run(capsys, *filled)
    assert found == code
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("time", ["x", "1:2:3:4", "", "1::2", "1/0"])
def test_other_times_are_refused(desk: Desk, capsys: pytest.CaptureFixture[str], time: str) -> None:
    code, _, err = run(
        capsys, "grant", desk.log, "--track", "7", "--from", time, "--by", "a", "--reason", "b",
        "--to-recipient", desk.public["court"], "--out", desk.folder / "g",
        "--password-file", desk.password,
    )  # fmt: skip
    assert code == 2
    assert "no time" in err


def test_inspect_verifies_a_video(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe(pts=tuple(range(12)), time_base=Fraction(1, 25))
    video = make_video(desk.folder / "a.mp4", recipe)
    other = make_video(desk.folder / "b.mp4", replace(recipe, pts=tuple(range(9))))
    digests, time_base = digest_video(video)
    header = make_header(time_base=time_base)
    log = write_log(desk.folder / "v.vskl", list(digests), header=header, end=End())
    code, out, _ = run(capsys, "inspect", log, "--verify", video, "--json")
    assert code == 0
    assert json.loads(out)["video_intact"] is True
    code, out, err = run(capsys, "inspect", log, "--verify", other)
    assert code == 6
    assert "proven" in out
    assert "not wholly" in err
    assert run(capsys, "inspect", log, "--verify", desk.password)[0] == 3


def test_inspect_follows_a_growing_log_over_a_rotation(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    first = desk.folder / "grow.vskl"
    header = make_header(time_base=Fraction(1))
    end = End(status="continued", first_pts=0, last_pts=3)
    write_log(first, [make_track(1), make_face(1, pts=3)], header=header, end=end)
    second = replace(header, previous_log=first.read_bytes()[-32:])
    part = desk.folder / "grow.part0002.vskl"
    write_log(part, [make_track(1, pts=4), make_face(1, pts=9)], header=second)
    code, out, _ = run(capsys, "inspect", first, "--follow", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [Path(line["log"]).name for line in lines] == [first.name, part.name]
    assert [line["complete"] for line in lines] == [True, True]
    assert [line["up_to_s"] for line in lines] == [3.0, 12000.0]
    code, out, _ = run(capsys, "inspect", first, "--password-file", desk.password, "--json")
    facts = json.loads(out)
    assert facts["later_parts"] == [str(part)]
    assert facts["track_list"][0]["to_s"] == 9.0
    part.unlink()
    code, out, err = run(capsys, "inspect", first)
    assert code == 6
    assert "a part is missing" in out
    assert "damaged part" in err


def test_old_header_is_refused_once_the_audit_log_knows_the_change(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    old = desk.log.read_bytes()
    unlock = ("--password-file", desk.password)
    code, _, _ = run(
        capsys, "recipients", "add", desk.log, "--to", desk.public["court"], *unlock,
        "--reason", "case 12",
    )  # fmt: skip
    assert code == 0
    desk.log.write_bytes(old)
    arguments = (
        "recover", desk.password, "--keylog", desk.log, "--out", desk.folder / "x.mp4", "--quiet",
        "--reason", "case 12", *unlock,
    )  # fmt: skip
    code, _, err = run(capsys, *arguments)
    assert code == 6
    assert "old header was put back" in err
    entries = verify_audit(desk.log.with_name(desk.log.name + ".audit.jsonl"))
    actions = [entry.action for entry in entries]
    assert actions == ["recipients", "recover", "recovery failed"]
    assert all(entry.is_signed for entry in entries)
    assert entries[2].details["error"] == "KeyLogTamperedError"


def test_logs_are_erased_with_a_receipt(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    logs = desk.folder / "logs"
    logs.mkdir()
    for name, expires in (("old", 1), ("kept", 0)):
        write_log(logs / name, [], header=make_header(expires_unix_us=expires))
    receipts = desk.folder / "receipts"
    code, out, _ = run(capsys, "erase", desk.log, "--expired", logs, "--receipts", receipts)
    assert code == 0
    assert [json.loads(line)["reason"] for line in out.splitlines()] == ["asked for", "expired"]
    assert receipts.read_text() == out
    assert not desk.log.exists()
    assert [path.name for path in logs.iterdir()] == ["kept"]
    first = write_log(desk.folder / "r.vskl", [], end=End(status="continued"))
    write_log(desk.folder / "r.part0002.vskl", [], seed="b")
    write_log(desk.folder / "r.part0003.vskl", [], header=make_header(recording_id=bytes(16)))
    code, out, _ = run(capsys, "erase", first)
    names = [Path(json.loads(line)["path"]).name for line in out.splitlines()]
    assert names == ["r.part0002.vskl", "r.vskl"]
    assert (desk.folder / "r.part0003.vskl").exists()  # another recording's
    assert run(capsys, "erase")[0] == 2
    assert run(capsys, "erase", desk.password)[0] == 6
    assert run(capsys, "erase", "--expired", desk.password)[0] == 2


@pytest.mark.slow
def test_a_machine_with_public_keys_only_cannot_open_what_it_wrote(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(desk.folder / "a.mp4", Recipe(pts=tuple(range(8))))
    out, log = desk.folder / "b.mp4", desk.folder / "b.mp4.vskl"
    assert run(capsys, "keygen", "--device", "--out", desk.folder / "device")[0] == 0
    code, _, _ = run(
        capsys, "anonymize", video, "--out", out, "--quiet", "--recipient", desk.public["court"],
        "--device-key", desk.folder / "device",
    )  # fmt: skip
    assert code == 0
    code, text, _ = run(capsys, "inspect", log, "--verify", out, "--json")
    assert code == 0
    assert json.loads(text)["signed"].startswith("good, by device vsver1:")
    assert run(capsys, "inspect", log, "--password-file", desk.password)[0] == 7
    code, text, _ = run(capsys, "inspect", log, "--identity", desk.folder / "court", "--json")
    assert code == 0
    assert json.loads(text)["notes"]["source"]
    code, _, err = run(
        capsys, "anonymize", video, "--out", desk.folder / "c.mp4", "--recipient", "vspub1:x"
    )
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run(
        capsys, "recover", out, "--keylog", log, "--out", desk.folder / "d.mp4",
        "--identity", desk.folder / "court", "--audit-log", desk.folder / "audit",
        "--reason", "case 12",
    )  # fmt: skip
    assert code == 0, err

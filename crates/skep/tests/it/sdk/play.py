"""What sdk.rs plays with the Python client. Arguments: the socket, the process of a live agent."""

import json
import sys

from skep import Client, Refused

PATH, PID = sys.argv[1], int(sys.argv[2])


def say(what, value):
    print(json.dumps({"what": what, "value": value}), flush=True)


def refused(act):
    try:
        act()
    except Refused as error:
        return [error.code, error.number, error.argument, bool(error.hint)]
    return None


with Client(PATH) as hive:
    wrote = hive.write("/data/a.md", "größe", origin="argument", message="first")
    say("wrote", [wrote["path"], sorted(wrote)])
    say("read", hive.read("/data/a.md")["text"])
    hive.write("/data/raw", b"\xff\x00", origin="argument")
    say("raw", hive.read("/data/raw")["base64"])
    hive.move("/data/a.md", "/data/b.md")
    say("listed", [entry["name"] for entry in hive.list("/data")["entries"]])
    say("history", [row["message"] for row in hive.history(path="/data/b.md")["versions"]][-1])
    say("missing", refused(lambda: hive.read("/data/nothing")))
    say("unknown", refused(lambda: hive.call("reed", {})))

    pid = hive.spawn("clerk", "chat", origin="argument")["pid"]
    ended = hive.wait(pid=pid, timeout_ms=20_000)
    say("ended", [ended["exit"], ended["verdict"], ended["text"]])
    records = hive.trace(pid=pid)["records"]
    say("traced", [records[0]["pid"] == pid or records[0]["actor"], len(records) > 3])

    with Client(PATH, token=hive.read(f"/proc/{PID}/token")["text"]) as process:
        say("status", f"pid {PID}" in process.read(f"/proc/{PID}/status")["text"])
        say("mine", process.write("/data/note.md", "of the process")["path"])
        say("denied", refused(lambda: process.write("/home/x", "x")))
        say("author", hive.read("/data/note.md")["actor"])

    notes = hive.follow(timeout=20)
    first = next(notes)
    say("first", [first["kind"], first["workspace"], first["record"]["seq"]])
    again = hive.spawn("clerk", "chat", origin="argument")["pid"]
    last, seen, early = 1, 0, ""
    for note in notes:
        if note["kind"] == "preview":
            early += note["text"]
            continue
        seen += note["record"]["seq"] == last + 1
        last += 1
        if note["record"]["pid"] != again or "exited" not in note["record"]["body"]:
            continue
        # It may have spoken before the log was read to its end: then another one does.
        if early:
            break
        again = hive.spawn("clerk", "chat", origin="argument")["pid"]
    say("followed", [seen == last - 1, early])

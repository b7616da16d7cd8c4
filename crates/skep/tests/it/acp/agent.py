"""An agent that speaks the Agent Client Protocol and does what the first word of its task says, well or ill."""
import json, os, sys, urllib.request

seen = []
offered = {}
# The session it is in, and what was said to it there; kept in its HOME.
current = {"id": "s-1", "said": []}
MEMORY = os.path.join(os.environ["HOME"], "memory.json")


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def take():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def ask(method, params, name=None):
    """Asks and waits for the answer; what else comes meanwhile is kept."""
    ask.next += 1
    name = name or f"a{ask.next}"
    send({"id": name, "method": method, "params": {"sessionId": current["id"], **params}})
    return wait(name)


ask.next = 0


def wait(name):
    while True:
        for at, message in enumerate(seen):
            if message.get("id") == name and "method" not in message:
                del seen[at]
                return message
        seen.append(take())


def update(**fields):
    send({"method": "session/update", "params": {"sessionId": current["id"], "update": fields}})


def say(text):
    update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text + "\n"})


def told(answer):
    """What an answer came to, in a few words."""
    if "error" in answer:
        return "error " + answer["error"]["message"]
    return json.dumps(answer["result"], sort_keys=True)


OPTIONS = [
    {"optionId": "always", "name": "Always", "kind": "allow_always"},
    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
]


def permit(title, **call):
    params = {"toolCall": {"toolCallId": "t1", "title": title, **call}, "options": OPTIONS}
    return ask("session/request_permission", params)


def edit(path, new, *_):
    """Changes a file, if it may."""
    update(sessionUpdate="plan", entries=[{"content": "change it", "priority": "high", "status": "pending"}])
    update(sessionUpdate="tool_call", toolCallId="t1", title=f"Edit {path}", kind="edit", status="pending")
    old = ask("fs/read_text_file", {"path": path})["result"]["content"]
    diff = {"type": "diff", "path": path, "oldText": old, "newText": new}
    outcome = permit(f"Edit {path}", kind="edit", locations=[{"path": path}], content=[diff])["result"]["outcome"]
    if outcome.get("optionId") in ("yes", "always"):
        say("wrote " + told(ask("fs/write_text_file", {"path": path, "content": new})))
        update(sessionUpdate="tool_call_update", toolCallId="t1", status="completed")
    else:
        update(sessionUpdate="tool_call_update", toolCallId="t1", status="failed")
    say("chosen " + json.dumps(outcome, sort_keys=True))


def files(*_):
    """Its own files and those it asks for are the same, whichever way it looks."""
    with open("/data/mine.md", "w") as file:
        file.write("one\ntwo\nthree\n")
    say("read " + told(ask("fs/read_text_file", {"path": "/data/mine.md", "line": 2, "limit": 1})))
    say("write " + told(ask("fs/write_text_file", {"path": "/data/mine.md", "content": "other\n"})))
    say("sees " + open("/data/mine.md").read().strip())


def rights(*_):
    """What it may not it cannot, whoever it asks."""
    for path in ["/data/ok.md", "/agents/coder/AGENT.md", "/sys/policy.yaml", "/etc/passwd", "/data/../x", "no"]:
        say(f"write {path} " + told(ask("fs/write_text_file", {"path": path, "content": "mine\n"})))
    for path in ["/sys/policy.yaml", "/proc/1/token", "/home/other/x", "/data/none", "/data/ok.md"]:
        say(f"read {path} " + told(ask("fs/read_text_file", {"path": path})))
    say("other session " + told(ask("fs/read_text_file", {"sessionId": "s-2", "path": "/data/ok.md"})))
    say("other method " + told(ask("fs/delete_everything", {})))


def run(*_):
    """Commands beside it, in its own sandbox."""
    words = {"command": "sh", "args": ["-c", "echo $A; cat /data/in.md; exit 3"]}
    made = ask("terminal/create", {**words, "env": [{"name": "A", "value": "it's"}], "cwd": "/data"})
    name = made["result"]["terminalId"]
    say("ended " + told(ask("terminal/wait_for_exit", {"terminalId": name})))
    say("said " + told(ask("terminal/output", {"terminalId": name})))
    say("released " + told(ask("terminal/release", {"terminalId": name})))
    say("gone " + told(ask("terminal/output", {"terminalId": name})))
    name = ask("terminal/create", {"command": "sleep", "args": ["8181.5"]})["result"]["terminalId"]
    say("runs " + told(ask("terminal/output", {"terminalId": name})))
    say("killed " + told(ask("terminal/kill", {"terminalId": name})))
    say("ended " + told(ask("terminal/wait_for_exit", {"terminalId": name})))
    name = ask("terminal/create", {"command": "ls", "cwd": "/agents"})["result"]["terminalId"]
    say("barred " + told(ask("terminal/wait_for_exit", {"terminalId": name})))


def spam(count, *_):
    """Asks and asks, without waiting for an answer."""
    for number in range(int(count)):
        params = {"toolCall": {"toolCallId": f"t{number}", "title": f"Do {number}"}, "options": OPTIONS}
        send({"id": number, "method": "session/request_permission", "params": {"sessionId": "s-1", **params}})
    with open("/data/asked.md", "w") as file:
        file.write("all")
    answers = [wait(number) for number in range(int(count))]
    refused = sum("error" in answer for answer in answers)
    ends = sorted({told(answer) for answer in answers if "error" not in answer})
    say(f"refused {refused} others {' '.join(ends)}")


def large(*_):
    """Asks for what nobody could look through."""
    say("chosen " + told(permit("Large", rawInput={"x": "y" * 70000})))


def bare(*_):
    """Takes nothing for a yes."""
    call = {"toolCallId": "t1", "title": "Bare"}
    say("chosen " + told(ask("session/request_permission", {"toolCall": call, "options": []})))


def giant(*_):
    sys.stdout.write("x" * 3_000_000 + "\n")
    sys.stdout.flush()
    take()


def noise(*_):
    for number in range(100):
        sys.stdout.write(f"noise {number}\n")
    sys.stdout.flush()
    take()


def odd(*_):
    """Answers that nobody asked for, under names of others; depth; ids that are none. Then it is well."""
    for id in [0, 1, 2, 7, 2**64, -1, "0", None, [], {}]:
        send({"id": id, "result": {"stopReason": "end_turn", "sessionId": "s-9"}} if id != 2 else {"method": "x"})
    sys.stdout.write('{"jsonrpc":"2.0","id":5,"method":"fs/read_text_file","params":' + "[" * 5000 + "\n")
    update(sessionUpdate="tool_call", toolCallId="t", title="draws \x1b[2J\r\n\u202eevil", status="pending")
    send({"method": "session/update", "params": {"sessionId": "s-2", "update": {
        "sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "of another session"}}}})
    say("well after all")


def late(*_):
    """Waits for a decision until it is told to stop, and goes on for a while."""
    say("chosen " + told(permit("Wait for me")))
    while not any(message.get("method") == "session/cancel" for message in seen):
        seen.append(take())
    say("asked again " + told(permit("And again")))
    with open("/data/late.md", "w") as file:
        file.write("late\n")
    return {"stopReason": "cancelled"}


def deaf(*_):
    """Does not stop."""
    say("listening")
    while True:
        take()


def memory():
    return json.load(open(MEMORY)) if os.path.exists(MEMORY) else {}


def tells(word, *_):
    """What was said to it in this session."""
    current["said"].append(word)
    with open(MEMORY + ".new", "w") as file:
        json.dump({**memory(), current["id"]: current["said"]}, file)
    os.rename(MEMORY + ".new", MEMORY)
    say(f"{current['id']}: {' '.join(current['said'])}")


def asks(word, *_):
    """The same, when somebody has let it."""
    permit(f"Tell {word}")
    tells(word)


def once(word, *_):
    """The same, and falls where it is said the first time."""
    tells(word)
    if current["said"].count(word) < 2:
        sys.exit(7)


def short(*_):
    return {"stopReason": "max_tokens"}


def servers(*_):
    say("servers " + json.dumps(current["servers"], sort_keys=True))


def loads(params):
    """The session as it was: what was said in it is told again, as the protocol has it."""
    name = params["sessionId"]
    if "--falls" in sys.argv:
        sys.exit(9)
    if name not in memory() or "--forgets" in sys.argv:
        return {"error": {"code": -32002, "message": "there is none\x1b[2J " + name}}
    for word in memory()[name]:
        send({"method": "session/update", "params": {"sessionId": name, "update": {
            "sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": f"again {word}\n"}}}})
    current.update(id=name, said=memory()[name])
    return {"result": None}


def half(*_):
    """Falls silent in the middle of a message."""
    say("begun")
    sys.stdout.write('{"jsonrpc":"2.0","method":"session/upd')
    sys.stdout.flush()
    while True:
        take()


def mute(*_):
    """Says no more, and lives on."""
    say("the last")
    sys.stdout.flush()
    os.close(1)
    os.execvp("sleep", ["sleep", "8282.5"])


def drafts(*_):
    """What it is offered, and what it does by itself."""
    say("offered " + json.dumps(offered, sort_keys=True))
    with open("/data/own.md", "w") as file:
        file.write("own\n")
    say("read " + told(ask("fs/read_text_file", {"path": "/data/own.md"})))
    say("write " + told(ask("fs/write_text_file", {"path": "/data/asked.md", "content": "asked\n"})))
    made = ask("terminal/create", {"command": "touch", "args": ["/data/ran.md"]})
    say("run " + told(made))
    if "result" in made:
        ask("terminal/wait_for_exit", made["result"])
    say("sees " + open("/data/own.md").read().strip())


def dies(*_):
    with open("/data/died.md", "w") as file:
        file.write("before\n")
    sys.exit(7)


def claims(tokens, *_):
    """Asks a model through the endpoint, and says how much that was."""
    if tokens != "none":
        body = {"model": "smart", "max_tokens": 99, "messages": [{"role": "user", "content": "say " + "hi " * 200}]}
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "x"}
        request = urllib.request.Request("http://127.0.0.1:7537/v1/messages", json.dumps(body).encode(), headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        say("model " + json.loads(opener.open(request).read())["content"][0]["text"])
    count = 500 if tokens == "none" else int(tokens)
    return {"stopReason": "end_turn", "usage": {"totalTokens": 2 * count, "inputTokens": count, "outputTokens": count}}


def ends(why, *_):
    return {"stopReason": why}


def main():
    logged_in = "--login" not in sys.argv
    while True:
        message = take()
        method, name = message.get("method"), message.get("id")
        if method == "initialize" and "--mute" in sys.argv:
            continue
        if method == "initialize":
            offered.update(message["params"]["clientCapabilities"])
            version = 9 if "--new" in sys.argv else message["params"]["protocolVersion"]
            methods = [{"id": "web", "type": "terminal"}, {"id": "key", "name": "Key"}]
            can = {"loadSession": "--loads" in sys.argv}
            hello = {"protocolVersion": version, "authMethods": methods, "agentCapabilities": can}
            send({"id": name, "result": hello})
        elif method == "authenticate":
            logged_in = message["params"]["methodId"] == "key"
            send({"id": name, "result": {}})
        elif method in ("session/new", "session/load") and not logged_in:
            send({"id": name, "error": {"code": -32000, "message": "log in first"}})
        elif method == "session/load":
            send({"id": name, **loads(message["params"])})
        elif method == "session/new":
            current.update(id=f"s-{len(memory()) + 1}", said=[], servers=message["params"]["mcpServers"])
            send({"id": name, "result": {"sessionId": current["id"]}})
        elif method == "session/prompt":
            words = message["params"]["prompt"][0]["text"].split()
            end = globals()[words[0]](*words[1:]) or {"stopReason": "end_turn"}
            send({"id": name, "result": end})


main()

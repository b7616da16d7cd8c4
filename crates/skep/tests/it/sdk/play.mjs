// What sdk.rs plays with the JavaScript client. Arguments: the package, the socket, the process of a live agent.
const [packaged, path, agent] = process.argv.slice(2);
const { Client, Refused } = await import(packaged);

const say = (what, value) => console.log(JSON.stringify({ what, value }));
const refused = async (act) => {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return [error.code, error.number, error.argument, error.hint !== ""];
  }
  return null;
};

const hive = await Client.connect({ path });
const wrote = await hive.write({ path: "/data/a.md", text: "größe", origin: "argument", message: "first" });
say("wrote", [wrote.path, Object.keys(wrote).sort()]);
say("read", (await hive.read({ path: "/data/a.md" })).text);
await hive.write({ path: "/data/raw", text: new Uint8Array([255, 0]), origin: "argument" });
say("raw", (await hive.read({ path: "/data/raw" })).base64);
await hive.move({ from: "/data/a.md", to: "/data/b.md" });
say("listed", (await hive.list({ path: "/data" })).entries.map((entry) => entry.name));
say("history", (await hive.history({ path: "/data/b.md" })).versions.map((row) => row.message).at(-1));
say("missing", await refused(() => hive.read({ path: "/data/nothing" })));
say("unknown", await refused(() => hive.call("reed", {})));

const { pid } = await hive.spawn({ agent: "clerk", text: "chat", origin: "argument" });
const ended = await hive.wait({ pid, timeout_ms: 20_000 });
say("ended", [ended.exit, ended.verdict, ended.text]);
const { records } = await hive.trace({ pid });
say("traced", [records[0].pid === pid || records[0].actor, records.length > 3]);

const { text: token } = await hive.read({ path: `/proc/${agent}/token` });
const lent = await Client.connect({ path, token });
say("status", (await lent.read({ path: `/proc/${agent}/status` })).text.includes(`pid ${agent}`));
say("mine", (await lent.write({ path: "/data/note.md", text: "of the process" })).path);
say("denied", await refused(() => lent.write({ path: "/home/x", text: "x" })));
say("author", (await hive.read({ path: "/data/note.md" })).actor);
lent.close();

const notes = hive.follow();
const first = (await notes.next()).value;
say("first", [first.kind, first.workspace, first.record.seq]);
let again = await hive.spawn({ agent: "clerk", text: "chat", origin: "argument" });
let [last, seen, early] = [1, 0, ""];
for await (const note of notes) {
  if (note.kind === "preview") {
    early += note.text;
    continue;
  }
  seen += note.record.seq === last + 1;
  last += 1;
  if (note.record.pid === again.pid && "exited" in note.record.body) {
    // It may have spoken before the log was read to its end: then another one does.
    if (early) break;
    again = await hive.spawn({ agent: "clerk", text: "chat", origin: "argument" });
  }
}
say("followed", [seen === last - 1, early]);
hive.close();

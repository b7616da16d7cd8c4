// Answers what is written to /data/ask.md, over its socket.
const net = require("node:net");
const readline = require("node:readline");

const wire = net.connect(process.env.SKEP_SOCKET);
const waiting = new Map();
readline.createInterface({ input: wire }).on("line", (line) => {
  const { id, result, error } = JSON.parse(line);
  const { done, fail } = waiting.get(id) ?? {};
  waiting.delete(id);
  if (error) fail?.(new Error(error.message));
  else done?.(result);
});
let last = 0;
const call = (method, params) =>
  new Promise((done, fail) => {
    const id = ++last;
    waiting.set(id, { done, fail });
    wire.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\n");
  });

let seen = 0;
const look = async () => {
  try {
    const { text, version } = await call("read", { path: "/data/ask.md" });
    if (version !== seen) {
      seen = version;
      await call("write", { path: "/data/answer.md", text: text.toUpperCase(), origin: "argument" });
    }
  } catch (error) {
    if (!/does not exist/.test(error.message)) throw error;
  }
  setTimeout(look, 200);
};
look();

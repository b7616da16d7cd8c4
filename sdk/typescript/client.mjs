// Lines on the socket: JSON-RPC 2.0, one message a line. One connection is one caller: an operator, or the
// process whose token is shown. Calls may be made without waiting for those before.
import { connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { Calls } from "./calls.mjs";

/** Bytes of one message; the daemon takes no more. */
const LINE_BYTES_MAX = 1_500_000;
/** Records that are asked for at a time. */
const PAGE = 2_000;

export class Refused extends Error {
  constructor(error) {
    const data = error.data ?? {};
    const hint = data.hint ? `\nhint: ${data.hint}` : "";
    super(`${data.code ?? ""}: ${error.message ?? ""}${hint}`);
    this.name = "Refused";
    this.code = data.code ?? "";
    this.number = error.code ?? 0;
    this.hint = data.hint ?? "";
    this.argument = data.argument ?? "";
  }
}

export function defaultSocket() {
  const { SKEP_HOME, XDG_RUNTIME_DIR, XDG_STATE_HOME } = process.env;
  if (SKEP_HOME) return join(SKEP_HOME, "sock");
  if (XDG_RUNTIME_DIR) return join(XDG_RUNTIME_DIR, "skep", "sock");
  return join(XDG_STATE_HOME || join(homedir(), ".local", "state"), "skep", "sock");
}

export class Client extends Calls {
  #options;
  #wire;

  constructor(options, wire) {
    super();
    this.#options = options;
    this.#wire = wire;
  }

  static async connect(options = {}) {
    return new Client(options, await Wire.open(options.path ?? defaultSocket()));
  }

  call(method, params) {
    return this.#wire.ask(method, { ...plain(params), ...this.#always() });
  }

  #always() {
    const { workspace, token } = this.#options;
    return plain({ workspace, token: token?.trim() });
  }

  async *follow(after = 0, { pid } = {}) {
    const wire = await Wire.open(this.#options.path ?? defaultSocket());
    const workspace = this.#options.workspace ?? "home";
    try {
      const params = { limit: PAGE, ...plain({ pid }), ...this.#always() };
      for (let follow = false; !follow; ) {
        let page = await wire.ask("trace", { ...params, from: after });
        if (page.records.length === 0) {
          follow = true;
          page = await wire.ask("trace", { ...params, from: after, follow });
        }
        for (const record of page.records) {
          after = record.seq;
          yield { kind: "record", workspace, record };
        }
        after = Math.max(after, page.next ?? after);
      }
      for (;;) {
        const note = await wire.note();
        if (note.kind === "record") {
          if (note.record.seq <= after) continue;
          after = note.record.seq;
        }
        yield note;
      }
    } finally {
      wire.close();
    }
  }

  close() {
    this.#wire.close();
  }
}

/** One connection: requests wait by their id, notes in a queue. */
class Wire {
  #socket;
  #parts = [];
  #next = 0;
  #waiting = new Map();
  #notes = [];
  #listener = null;
  #gone = null;

  static open(path) {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Wire(socket));
      });
    });
  }

  constructor(socket) {
    this.#socket = socket;
    socket.on("data", (part) => this.#take(part));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the daemon closed the connection")));
  }

  ask(method, params) {
    if (this.#gone) return Promise.reject(this.#gone);
    const id = ++this.#next;
    const line = `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;
    const bytes = Buffer.byteLength(line);
    if (bytes > LINE_BYTES_MAX) {
      const what = `a message of ${bytes} bytes is more than ${LINE_BYTES_MAX}: write it in parts`;
      return Promise.reject(new RangeError(what));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(line);
    });
  }

  note() {
    if (this.#notes.length > 0) return Promise.resolve(this.#notes.shift());
    if (this.#gone) return Promise.reject(this.#gone);
    return new Promise((resolve, reject) => {
      this.#listener = { resolve, reject };
    });
  }

  close() {
    this.#socket.destroy();
  }

  #take(part) {
    let from = 0;
    for (let end = part.indexOf(10); end >= 0; end = part.indexOf(10, from)) {
      this.#parts.push(part.subarray(from, end));
      const line = Buffer.concat(this.#parts).toString("utf8");
      this.#parts = [];
      from = end + 1;
      try {
        this.#message(JSON.parse(line));
      } catch (error) {
        this.#end(error);
        this.close();
        return;
      }
    }
    if (from < part.length) this.#parts.push(part.subarray(from));
  }

  #message(message) {
    if (message.method) {
      const note = { kind: message.method, ...message.params };
      const listener = this.#listener;
      this.#listener = null;
      if (listener) listener.resolve(note);
      else this.#notes.push(note);
      return;
    }
    // An error without an id is about the connection as a whole.
    if (message.id === null && message.error) return this.#end(new Refused(message.error));
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error) waiting?.reject(new Refused(message.error));
    else waiting?.resolve(message.result);
  }

  #end(error) {
    this.#gone ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#gone);
    this.#waiting.clear();
    this.#listener?.reject(this.#gone);
    this.#listener = null;
  }
}

/** Arguments as the wire takes them. */
function plain(params) {
  const out = {};
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined || value === null) continue;
    if (value instanceof Uint8Array) {
      // Only `text` may be bytes that are not UTF-8.
      const bytes = Buffer.from(value);
      if (name === "text") out.base64 = bytes.toString("base64");
      else out[name] = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } else out[name] = value;
  }
  return out;
}

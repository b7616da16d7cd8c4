import { Calls } from "./calls.mjs";

/** What Skep did not do: a code, a sentence, and what to do about it. */
export class Refused extends Error {
  /** The code's word: `Denied`, `NotFound`, `Exhausted` … */
  readonly code: string;
  /** The code's number. */
  readonly number: number;
  /** What to do next; empty when there is nothing to say. */
  readonly hint: string;
  /** The argument to blame; empty when none is. */
  readonly argument: string;
}

/** How a client is made. */
export interface Options {
  /** The socket; `defaultSocket()` without it. */
  path?: string;
  /** In which workspace; `home` without it. */
  workspace?: string;
  /** As which process; an operator without it. */
  token?: string;
}

/** What comes by itself to who follows. */
export type Note =
  | { kind: "record"; workspace: string; record: Record<string, unknown> & { seq: number } }
  | { kind: "preview"; workspace: string; pid: number; text: string };

/** Where the daemon of this user is, as `skep` itself finds it. */
export function defaultSocket(): string;

/** A connection. With a token it is that token's process and nothing else, for ever. */
export class Client extends Calls {
  private constructor();
  /** Connects. */
  static connect(options?: Options): Promise<Client>;
  /** One call by its name; what is undefined is left out, and bytes go as base64. */
  call(method: string, params: Record<string, unknown>): Promise<any>;
  /** Records after this one, then what comes, without end, on a connection of its own. */
  follow(after?: number, options?: { pid?: number }): AsyncGenerator<Note, void, void>;
  /** Closes the connection. */
  close(): void;
}

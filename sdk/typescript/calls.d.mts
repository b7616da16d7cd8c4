// A method for each call, and a type for each form of answer.
// Made by cargo xtask gen from Skep's tables; changes here are lost.

/** Text; bytes are taken as well, where they need not be text. */
export type Text = string | Uint8Array;
/** A value of a map of arguments. */
export type Value = string | number | boolean | (string | number | boolean)[];

/** One row. */
export interface ListedRow {
  /** The name. */
  name: string;
  /** File, dir, link or gone. */
  node: string;
  /** How long its content is. */
  bytes?: number;
  /** Permission bits. */
  mode?: number;
  /** When, in microseconds since 1970. */
  mtime?: number;
  /** The version at its head. */
  version?: number;
  /** Its label in words. */
  label?: string;
  /** Who made it: a principal. */
  actor?: string;
}

/** The names of a directory. */
export interface Listed {
  /** Each name with what it is. */
  entries: ListedRow[];
  /** The listing was cut. */
  more?: boolean;
  /** So many were left out: they lie below the caller's ceiling. */
  below?: number;
  /** What can be done about it. */
  hint?: string;
}

/** The bytes of a file that has versions. */
export interface Contents {
  /** The version that was read. */
  version: number;
  /** File, dir, link or gone. */
  node: string;
  /** How long its content is. */
  bytes: number;
  /** Permission bits. */
  mode: number;
  /** When, in microseconds since 1970. */
  mtime: number;
  /** Its label in words. */
  label: string;
  /** Who made it: a principal. */
  actor: string;
  /** The bytes, if they are text. */
  text?: string;
  /** The bytes, if they are not. */
  base64?: string;
}

/** A file that is made when it is read. */
export interface Rendered {
  /** How long the content is. */
  bytes?: number;
  /** The text. */
  text?: string;
  /** The bytes, if they are no text. */
  base64?: string;
}

/** It had changed meanwhile, and both changes went together. */
export interface Merged {
  /** True. */
  merged: boolean;
  /** The operation that undo takes back. */
  operation: number;
  /** The new head, made of both. */
  version: number;
  /** The version of your text. */
  ours: number;
  /** The head before. */
  theirs: number;
  /** Where. */
  path: string;
  /** In a sentence. */
  message: string;
}

/** It had changed meanwhile; yours is kept beside it and waits to be resolved. */
export interface Diverged {
  /** Conflict. */
  code: string;
  /** In a sentence. */
  message: string;
  /** The operation that undo takes back. */
  operation: number;
  /** The version it was made from. */
  base: number;
  /** The version of your text. */
  ours: number;
  /** The head. */
  theirs: number;
}

/** The tree changed. */
export interface Wrote {
  /** The operation that undo takes back. */
  operation: number;
  /** The new version. */
  version: number;
  /** Where. */
  path: string;
}

/** It was so already; nothing was written. */
export interface Same {
  /** The version that stands. */
  version: number;
  /** True. */
  unchanged: boolean;
}

/** Bytes may be uploaded, or so many are there so far. */
export interface Upload {
  /** The upload, on this connection. */
  upload: number;
  /** So many bytes are there. */
  bytes?: number;
}

/** Mode restore: what was taken back, and what was not. */
export interface Undone {
  /** The operation that took it back, if anything was. */
  operation: number | null;
  /** Paths that are as before. */
  restored: string[];
  /** Paths that somebody has changed since. */
  left: string[];
  /** Taken back from under later changes, which stay. */
  merged: string[];
  /** What stood before is kept beside what contradicts it. */
  diverged: string[];
}

/** To /sys/ctl: bytes were destroyed. */
export interface Purged {
  /** The operation that says so, if there was a file. */
  operation: number | null;
  /** So many versions. */
  versions: number;
  /** Bytes of their contents. */
  bytes: number;
  /** Other paths that hold some of the same bytes. */
  kept: string[];
}

/** Mode check: what it would change, one line a thing. */
export interface Checked {
  /** The lines. */
  text: string;
}

/** One row. */
export interface FoundRow {
  /** Where. */
  path: string;
  /** The version that was looked at. */
  version: number;
  /** The file, whatever it is called. */
  file: number;
  /** Its label in words. */
  label: string;
  /** Who made it: a principal. */
  actor: string;
  /** When, in microseconds since 1970. */
  mtime: number;
  /** A line around what was found. */
  snippet: string;
  /** Begin and end of each word in the snippet, in bytes. */
  marks: [number, number][];
}

/** What was found, best first. */
export interface Found {
  /** The files. */
  hits: FoundRow[];
  /** That of all hits together. */
  label: string | null;
  /** The record up to which the index has come. */
  indexed: number;
  /** The last record. */
  seq: number;
  /** There may be more. */
  cut: boolean;
}

/** One row. */
export interface VersionsRow {
  /** The version. */
  version: number;
  /** The file, whatever it is called. */
  file: number;
  /** File, dir, link or gone. */
  node: string;
  /** How long its content is. */
  bytes: number;
  /** BLAKE3 of its content. */
  hash: string;
  /** Permission bits. */
  mode: number;
  /** When, in microseconds since 1970. */
  mtime: number;
  /** Its label in words. */
  label: string;
  /** Who made it: a principal. */
  actor: string;
  /** As which process. */
  pid: number;
  /** The operation that undo takes back. */
  operation: number;
  /** The record that made it. */
  seq: number;
  /** Kept beside the head, unresolved. */
  diverged: boolean;
  /** The versions it was made from. */
  parents: number[];
  /** Why, as its author said. */
  message: string | null;
  /** Where it stood. */
  path: string | null;
}

/** Versions, newest first. */
export interface Versions {
  /** Each with who, when and from what. */
  versions: VersionsRow[];
  /** So many were left out: they lie below the caller's ceiling. */
  below?: number;
  /** What can be done about it. */
  hint?: string;
}

/** The process began. */
export interface Spawned {
  /** The process. */
  pid: number;
  /** Needs of the agent that policy did not grant. */
  withheld: string[];
}

/** The process has ended. */
export interface Ended {
  /** The process. */
  pid: number;
  /** How: exited, killed or faulted. */
  exit: unknown;
  /** Done, failed or unverified. */
  verdict: string;
  /** Hash and length of its last words. */
  result: unknown | null;
  /** Its last words. */
  text?: string;
}

/** The proposal was decided. */
export interface Ruled {
  /** The proposal. */
  proposal: number;
  /** Approved, rejected, expired, answered or modified. */
  state: string;
  /** To a question; why it was rejected; what was done instead. */
  answer?: string;
}

/** Modify without a digest: what would be done; nothing is decided. */
export interface Previewed {
  /** The proposal. */
  proposal: number;
  /** All arguments, each a list of text. */
  args: unknown;
  /** What the kernel shows of them. */
  shown: string;
  /** What decides them: 64 hexadecimal digits. */
  digest: string;
  /** Pages that it takes. */
  pages: number;
}

/** One row. */
export interface RanRow {
  /** Where. */
  path: string;
  /** New, changed, moved or removed. */
  change: string;
  /** Its version. */
  version: number;
}

/** The command ended. */
export interface Ran {
  /** Its number. */
  exec: number;
  /** As a shell has it: 128 and the number of the signal, 124: too long. */
  status: number;
  /** The same in words. */
  how: string;
  /** In which wall it ran: shell or native. */
  wall: string;
  /** What it said, both streams as they came; a long one without its middle. */
  output: string;
  /** Bytes that it said. */
  bytes: number;
  /** BLAKE3 of all that, if it is more. */
  whole?: string;
  /** Whether what it changed is kept: all of it, or nothing. */
  kept: boolean;
  /** The operation that undo takes back. */
  operation?: number;
  /** What it changed; the first of it. */
  changed: RanRow[];
  /** So many more. */
  more?: number;
  /** Where somebody else had changed the same: both are kept. */
  conflicts?: RanRow[];
  /** Wall_us, cpu_us, memory_bytes. */
  used: unknown;
}

/** One row. */
export interface KeptRow {
  /** Where. */
  path: string;
  /** New, changed, moved or removed. */
  change: string;
  /** Its version. */
  version: number;
}

/** Keep, of a draft: what came of it. */
export interface Kept {
  /** The operation that undo takes back; none if all of it stood. */
  operation?: number;
  /** What it changed; the first of it. */
  changed: KeptRow[];
  /** So many more. */
  more?: number;
  /** Where others had changed the same: merged, or both are kept. */
  conflicts?: KeptRow[];
}

/** The time is over. */
export interface TimedOut {
  /** True. */
  timed_out: boolean;
}

/** It waits in the agent's lane. */
export interface Queued {
  /** At this place; 1 is next. */
  queued: number;
}

/** The model answered. */
export interface Completed {
  /** Hash and length of the answer. */
  answer: unknown;
  /** Tokens that were charged. */
  usage: unknown;
  /** What it said. */
  text?: string;
}

/** It waits for an operator's decision. */
export interface Held {
  /** True. */
  held: boolean;
  /** The proposal. */
  proposal: number;
  /** By which rule. */
  rule: unknown;
  /** In a sentence. */
  message: string;
}

/** The effect happened, or failed. */
export interface Effected {
  /** Its name: 64 hexadecimal digits. */
  effect: string;
  /** Whether it happened. */
  done: boolean;
  /** Hash and length of what the other side said. */
  outcome: unknown;
  /** What the other side said. */
  text?: string;
}

/** The capability was given. */
export interface Granted {
  /** Its id. */
  cap: number;
}

/** It was taken back. */
export interface Revoked {
  /** So many, with those below. */
  revoked: number;
}

/** Records of the log. */
export interface Records {
  /** Each as the log has it, with its label and texts in words. */
  records: (Record<string, unknown> & { seq: number })[];
  /** Where to go on: from. */
  next?: number;
  /** Why: there are more. */
  cut?: boolean;
}

/** Done, nothing to say. */
export interface Done {
  /** True. */
  ok: boolean;
}

/** What list takes. */
export interface ListParams {
  /** The path. */
  path: string;
  /** As it was after this record. */
  at?: number;
  /** As it was at this time, in microseconds since 1970-01-01 UTC. */
  at_us?: number;
}

export type ListResult = Listed;

/** What read takes. */
export interface ReadParams {
  /** The path. */
  path: string;
  /** As it was after this record. */
  at?: number;
  /** As it was at this time, in microseconds since 1970-01-01 UTC. */
  at_us?: number;
  /** This version of it, whatever stands there now. */
  version?: number;
  /** From this byte on. */
  offset?: number;
  /** At most so many bytes; 1 MiB is the most. */
  length?: number;
}

export type ReadResult = Contents | Rendered;

/** What write takes. */
export interface WriteParams {
  /** The path. */
  path: string;
  /** Whole (default), append, patch, dir, link, restore, resolve, begin, part, check. */
  mode?: string;
  /** The new content, what is appended, put in place, or the link's target. */
  text?: Text;
  /** Patch: the text to replace; it must stand exactly once. */
  find?: Text;
  /** The version this change was made from. */
  base?: number;
  /** Whole: may be run as a program. */
  exec?: boolean;
  /** Restore: this version; resolve: the diverged version. */
  version?: number;
  /** Resolve: ours (the diverged version), theirs (the head) or text. */
  take?: string;
  /** Part: of this upload; whole: these uploaded bytes. */
  upload?: number;
  /** Restore: what stood before this operation. */
  operation?: number;
  /** Restore: what stood before this process wrote. */
  pid?: number;
  /** Restore: take this effect back, by the kind its driver declares for that. */
  effect?: string;
  /** Why. */
  message?: Text;
  /** Typed, argument, pipe or file; only the first two are words of an operator. */
  origin?: string;
}

export type WriteResult = Merged | Diverged | Wrote | Same | Upload | Undone | Purged | Checked | Spawned | Kept | Queued | Held | Effected | Done;

/** What move takes. */
export interface MoveParams {
  /** Where it is. */
  from: string;
  /** Where it shall be. */
  to: string;
  /** The version this change was made from. */
  base?: number;
}

export type MoveResult = Merged | Diverged | Wrote | Same | Held | Done;

/** What remove takes. */
export interface RemoveParams {
  /** The path. */
  path: string;
  /** The version this change was made from. */
  base?: number;
  /** Also a directory that is not empty. */
  tree?: boolean;
}

export type RemoveResult = Merged | Diverged | Wrote | Same | Held | Done;

/** What search takes. */
export interface SearchParams {
  /** Words that must all stand in it; "a phrase"; a* for a beginning. */
  query: Text;
  /** At or below this path. */
  path?: string;
  /** Whose head it is: a principal, as agent:triage. */
  author?: string;
  /** Only of this integrity: system, operator, workspace, external. */
  label?: string;
  /** Changed at or after this time, in microseconds since 1970. */
  since_us?: number;
  /** Changed before this time. */
  until_us?: number;
  /** As it was after this record. */
  at?: number;
  /** As it was at this time, in microseconds since 1970-01-01 UTC. */
  at_us?: number;
  /** At most so many. */
  limit?: number;
}

export type SearchResult = Found;

/** What history takes. */
export interface HistoryParams {
  /** The file. */
  path?: string;
  /** Path: only versions before this one, to page on. */
  before?: number;
  /** The versions of this operation instead. */
  operation?: number;
  /** At most so many. */
  limit?: number;
}

export type HistoryResult = Versions;

/** What spawn takes. */
export interface SpawnParams {
  /** Which agent. */
  agent: string;
  /** The text. */
  text: Text;
  /** Typed, argument, pipe or file; only the first two are words of an operator. */
  origin?: string;
  /** What must be so when it is done. */
  post?: ({ exists: string } | { contains: string; text: string })[];
  /** Money for this run; can only lower. */
  budget?: string;
  /** What lies below it is invisible: external (default: nothing is), workspace, operator. */
  ceiling?: string;
  /** Values of inputs that its AGENT.md declares. */
  inputs?: Record<string, Value>;
  /** Turn (default), or client: a program that shows its token acts for it. */
  kind?: string;
  /** By an operator: command, dir, stdio, tools, env of this run. */
  program?: Record<string, Value>;
}

export type SpawnResult = Spawned | Held;

/** What wait takes. */
export interface WaitParams {
  /** This process. */
  pid?: number;
  /** This proposal. */
  proposal?: number;
  /** At most so long. */
  timeout_ms?: number;
}

export type WaitResult = Ended | Ruled | TimedOut;

/** What signal takes. */
export interface SignalParams {
  /** Which. */
  pid: number;
  /** Freeze, thaw, interrupt, kill. */
  signal: string;
}

export type SignalResult = Done;

/** What exec takes. */
export interface ExecParams {
  /** What to run, in the words of a shell. */
  text: Text;
  /** In this directory; without one, where programs may run. */
  dir?: string;
  /** In the sandbox of this process; without one, of the caller. */
  pid?: number;
  /** Auto (default), shell: no program of the host, native: real programs. */
  wall?: string;
  /** At most so long; two minutes without one. */
  timeout_ms?: number;
  /** Null (default), pipe or terminal[:ROWSxCOLS]: what operators send it. */
  stdio?: string;
  /** Typed, argument, pipe or file; only the first two are words of an operator. */
  origin?: string;
}

export type ExecResult = Ran;

/** What dispatch takes. */
export interface DispatchParams {
  /** Which agent. */
  agent: string;
  /** The text. */
  text: Text;
  /** Typed, argument, pipe or file; only the first two are words of an operator. */
  origin?: string;
  /** Follow_up (default), steer, interrupt. */
  mode?: string;
  /** Values of inputs that its AGENT.md declares. */
  inputs?: Record<string, Value>;
  /** Go on with this session; without one, nothing is remembered. */
  session?: string;
}

export type DispatchResult = Spawned | Queued | Held | Done;

/** What complete takes. */
export interface CompleteParams {
  /** Which model. */
  model: string;
  /** The text. */
  text: Text;
  /** Typed, argument, pipe or file; only the first two are words of an operator. */
  origin?: string;
  /** Output tokens. */
  max_out?: number;
}

export type CompleteResult = Completed | Held;

/** What propose takes. */
export interface ProposeParams {
  /** At which mount; operator for a question or an endorsement. */
  mount: string;
  /** Which effect, as mail.send. */
  kind: string;
  /** Its arguments. */
  args: Record<string, Value>;
}

export type ProposeResult = Held | Effected | Done;

/** What decide takes. */
export interface DecideParams {
  /** Which. */
  proposal: number;
  /** Approve, reject, answer or modify. */
  verdict: string;
  /** Why; to a question, the answer. */
  reason?: Text;
  /** What was shown; that of its group decides all of the group. */
  digest?: string;
  /** Modify: arguments that shall be others, an empty list for none; without a digest it is only shown what would be done. */
  args?: Record<string, Value>;
}

export type DecideResult = Ruled | Previewed | Held | Effected | Done;

/** What grant takes. */
export interface GrantParams {
  /** To whom. */
  pid: number;
  /** What, as in an agent's needs: read /data/**. */
  need: string;
  /** For so long. */
  expires_ms?: number;
}

export type GrantResult = Granted;

/** What revoke takes. */
export interface RevokeParams {
  /** Which. */
  cap: number;
}

export type RevokeResult = Revoked;

/** What trace takes. */
export interface TraceParams {
  /** After this record. */
  from?: number;
  /** At most so many. */
  limit?: number;
  /** Of this process and those below it. */
  pid?: number;
  /** And go on as they come. */
  follow?: boolean;
  /** Instead: every record that led to version:N, operation:N, proposal:N, effect:HASH, pid:N or label:N. */
  why?: string;
}

export type TraceResult = Records;

/** Every call that is served. */
export class Calls {
  /** Names in a directory, with what each is. */
  list(params: ListParams): Promise<ListResult>;
  /** Bytes of a file, and its version. */
  read(params: ReadParams): Promise<ReadResult>;
  /** A new version of a file: whole, append, patch, dir, link, restore or resolve; or an upload in parts. */
  write(params: WriteParams): Promise<WriteResult>;
  /** Give a file or directory another path; its history goes with it. */
  move(params: MoveParams): Promise<MoveResult>;
  /** A version that says it is gone. */
  remove(params: RemoveParams): Promise<RemoveResult>;
  /** Full text of the files you may read, best first. */
  search(params: SearchParams): Promise<SearchResult>;
  /** Versions of a file, newest first; or all that an operation changed. */
  history(params?: HistoryParams): Promise<HistoryResult>;
  /** Start an agent on a task. */
  spawn(params: SpawnParams): Promise<SpawnResult>;
  /** Until a process ends, a proposal is decided, or a time has passed. */
  wait(params?: WaitParams): Promise<WaitResult>;
  /** Freeze, thaw, interrupt or kill a process and what it started. */
  signal(params: SignalParams): Promise<SignalResult>;
  /** A command in a process's sandbox: what it changes is one operation, or none of it happened. */
  exec(params: ExecParams): Promise<ExecResult>;
  /** Text to an agent's session. */
  dispatch(params: DispatchParams): Promise<DispatchResult>;
  /** One model call. */
  complete(params: CompleteParams): Promise<CompleteResult>;
  /** An effect outside, a question (operator ask), whether one may go on (operator permit), an endorsement (operator endorse); applied, or held. */
  propose(params: ProposeParams): Promise<ProposeResult>;
  /** Approve or reject a proposal, approve it with other arguments, or answer a question. */
  decide(params: DecideParams): Promise<DecideResult>;
  /** Give a process a part of a capability that you hold. */
  grant(params: GrantParams): Promise<GrantResult>;
  /** Take a capability back, and all derived from it. */
  revoke(params: RevokeParams): Promise<RevokeResult>;
  /** Records of the log. */
  trace(params?: TraceParams): Promise<TraceResult>;
}

"""A method for each call, and a type for each form of answer.

Made by cargo xtask gen from Skep's tables; changes here are lost.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, TypedDict, Union

#: Text; bytes are taken as well, where they need not be text.
Text = Union[str, bytes]
#: A value of a map of arguments.
Value = Union[str, int, float, bool, Sequence[Union[str, int, float, bool]]]


class _ListedRow(TypedDict):
    #: The name.
    name: str
    #: File, dir, link or gone.
    node: str


class ListedRow(_ListedRow, total=False):
    """One row."""

    #: How long its content is.
    bytes: int
    #: Permission bits.
    mode: int
    #: When, in microseconds since 1970.
    mtime: int
    #: The version at its head.
    version: int
    #: Its label in words.
    label: str
    #: Who made it: a principal.
    actor: str


class _Listed(TypedDict):
    #: Each name with what it is.
    entries: List[ListedRow]


class Listed(_Listed, total=False):
    """The names of a directory."""

    #: The listing was cut.
    more: bool
    #: So many were left out: they lie below the caller's ceiling.
    below: int
    #: What can be done about it.
    hint: str


class _Contents(TypedDict):
    #: The version that was read.
    version: int
    #: File, dir, link or gone.
    node: str
    #: How long its content is.
    bytes: int
    #: Permission bits.
    mode: int
    #: When, in microseconds since 1970.
    mtime: int
    #: Its label in words.
    label: str
    #: Who made it: a principal.
    actor: str


class Contents(_Contents, total=False):
    """The bytes of a file that has versions."""

    #: The bytes, if they are text.
    text: str
    #: The bytes, if they are not.
    base64: str


class Rendered(TypedDict, total=False):
    """A file that is made when it is read."""

    #: How long the content is.
    bytes: int
    #: The text.
    text: str
    #: The bytes, if they are no text.
    base64: str


class Merged(TypedDict):
    """It had changed meanwhile, and both changes went together."""

    #: True.
    merged: bool
    #: The operation that undo takes back.
    operation: int
    #: The new head, made of both.
    version: int
    #: The version of your text.
    ours: int
    #: The head before.
    theirs: int
    #: Where.
    path: str
    #: In a sentence.
    message: str


class Diverged(TypedDict):
    """It had changed meanwhile; yours is kept beside it and waits to be resolved."""

    #: Conflict.
    code: str
    #: In a sentence.
    message: str
    #: The operation that undo takes back.
    operation: int
    #: The version it was made from.
    base: int
    #: The version of your text.
    ours: int
    #: The head.
    theirs: int


class Wrote(TypedDict):
    """The tree changed."""

    #: The operation that undo takes back.
    operation: int
    #: The new version.
    version: int
    #: Where.
    path: str


class Same(TypedDict):
    """It was so already; nothing was written."""

    #: The version that stands.
    version: int
    #: True.
    unchanged: bool


class _Upload(TypedDict):
    #: The upload, on this connection.
    upload: int


class Upload(_Upload, total=False):
    """Bytes may be uploaded, or so many are there so far."""

    #: So many bytes are there.
    bytes: int


class Undone(TypedDict):
    """Mode restore: what was taken back, and what was not."""

    #: The operation that took it back, if anything was.
    operation: Optional[int]
    #: Paths that are as before.
    restored: List[str]
    #: Paths that somebody has changed since.
    left: List[str]
    #: Taken back from under later changes, which stay.
    merged: List[str]
    #: What stood before is kept beside what contradicts it.
    diverged: List[str]


class Purged(TypedDict):
    """To /sys/ctl: bytes were destroyed."""

    #: The operation that says so, if there was a file.
    operation: Optional[int]
    #: So many versions.
    versions: int
    #: Bytes of their contents.
    bytes: int
    #: Other paths that hold some of the same bytes.
    kept: List[str]


class Checked(TypedDict):
    """Mode check: what it would change, one line a thing."""

    #: The lines.
    text: str


class FoundRow(TypedDict):
    """One row."""

    #: Where.
    path: str
    #: The version that was looked at.
    version: int
    #: The file, whatever it is called.
    file: int
    #: Its label in words.
    label: str
    #: Who made it: a principal.
    actor: str
    #: When, in microseconds since 1970.
    mtime: int
    #: A line around what was found.
    snippet: str
    #: Begin and end of each word in the snippet, in bytes.
    marks: List[List[int]]


class Found(TypedDict):
    """What was found, best first."""

    #: The files.
    hits: List[FoundRow]
    #: That of all hits together.
    label: Optional[str]
    #: The record up to which the index has come.
    indexed: int
    #: The last record.
    seq: int
    #: There may be more.
    cut: bool


class VersionsRow(TypedDict):
    """One row."""

    #: The version.
    version: int
    #: The file, whatever it is called.
    file: int
    #: File, dir, link or gone.
    node: str
    #: How long its content is.
    bytes: int
    #: BLAKE3 of its content.
    hash: str
    #: Permission bits.
    mode: int
    #: When, in microseconds since 1970.
    mtime: int
    #: Its label in words.
    label: str
    #: Who made it: a principal.
    actor: str
    #: As which process.
    pid: int
    #: The operation that undo takes back.
    operation: int
    #: The record that made it.
    seq: int
    #: Kept beside the head, unresolved.
    diverged: bool
    #: The versions it was made from.
    parents: List[int]
    #: Why, as its author said.
    message: Optional[str]
    #: Where it stood.
    path: Optional[str]


class _Versions(TypedDict):
    #: Each with who, when and from what.
    versions: List[VersionsRow]


class Versions(_Versions, total=False):
    """Versions, newest first."""

    #: So many were left out: they lie below the caller's ceiling.
    below: int
    #: What can be done about it.
    hint: str


class Spawned(TypedDict):
    """The process began."""

    #: The process.
    pid: int
    #: Needs of the agent that policy did not grant.
    withheld: List[str]


class _Ended(TypedDict):
    #: The process.
    pid: int
    #: How: exited, killed or faulted.
    exit: Any
    #: Done, failed or unverified.
    verdict: str
    #: Hash and length of its last words.
    result: Optional[Any]


class Ended(_Ended, total=False):
    """The process has ended."""

    #: Its last words.
    text: str


class _Ruled(TypedDict):
    #: The proposal.
    proposal: int
    #: Approved, rejected, expired, answered or modified.
    state: str


class Ruled(_Ruled, total=False):
    """The proposal was decided."""

    #: To a question; why it was rejected; what was done instead.
    answer: str


class Previewed(TypedDict):
    """Modify without a digest: what would be done; nothing is decided."""

    #: The proposal.
    proposal: int
    #: All arguments, each a list of text.
    args: Any
    #: What the kernel shows of them.
    shown: str
    #: What decides them: 64 hexadecimal digits.
    digest: str
    #: Pages that it takes.
    pages: int


class RanRow(TypedDict):
    """One row."""

    #: Where.
    path: str
    #: New, changed, moved or removed.
    change: str
    #: Its version.
    version: int


class _Ran(TypedDict):
    #: Its number.
    exec: int
    #: As a shell has it: 128 and the number of the signal, 124: too long.
    status: int
    #: The same in words.
    how: str
    #: In which wall it ran: shell or native.
    wall: str
    #: What it said, both streams as they came; a long one without its middle.
    output: str
    #: Bytes that it said.
    bytes: int
    #: Whether what it changed is kept: all of it, or nothing.
    kept: bool
    #: What it changed; the first of it.
    changed: List[RanRow]
    #: Wall_us, cpu_us, memory_bytes.
    used: Any


class Ran(_Ran, total=False):
    """The command ended."""

    #: BLAKE3 of all that, if it is more.
    whole: str
    #: The operation that undo takes back.
    operation: int
    #: So many more.
    more: int
    #: Where somebody else had changed the same: both are kept.
    conflicts: List[RanRow]


class KeptRow(TypedDict):
    """One row."""

    #: Where.
    path: str
    #: New, changed, moved or removed.
    change: str
    #: Its version.
    version: int


class _Kept(TypedDict):
    #: What it changed; the first of it.
    changed: List[KeptRow]


class Kept(_Kept, total=False):
    """Keep, of a draft: what came of it."""

    #: The operation that undo takes back; none if all of it stood.
    operation: int
    #: So many more.
    more: int
    #: Where others had changed the same: merged, or both are kept.
    conflicts: List[KeptRow]


class TimedOut(TypedDict):
    """The time is over."""

    #: True.
    timed_out: bool


class Queued(TypedDict):
    """It waits in the agent's lane."""

    #: At this place; 1 is next.
    queued: int


class _Completed(TypedDict):
    #: Hash and length of the answer.
    answer: Any
    #: Tokens that were charged.
    usage: Any


class Completed(_Completed, total=False):
    """The model answered."""

    #: What it said.
    text: str


class Held(TypedDict):
    """It waits for an operator's decision."""

    #: True.
    held: bool
    #: The proposal.
    proposal: int
    #: By which rule.
    rule: Any
    #: In a sentence.
    message: str


class _Effected(TypedDict):
    #: Its name: 64 hexadecimal digits.
    effect: str
    #: Whether it happened.
    done: bool
    #: Hash and length of what the other side said.
    outcome: Any


class Effected(_Effected, total=False):
    """The effect happened, or failed."""

    #: What the other side said.
    text: str


class Granted(TypedDict):
    """The capability was given."""

    #: Its id.
    cap: int


class Revoked(TypedDict):
    """It was taken back."""

    #: So many, with those below.
    revoked: int


class _Records(TypedDict):
    #: Each as the log has it, with its label and texts in words.
    records: List[Dict[str, Any]]


class Records(_Records, total=False):
    """Records of the log."""

    #: Where to go on: from.
    next: int
    #: Why: there are more.
    cut: bool


class Done(TypedDict):
    """Done, nothing to say."""

    #: True.
    ok: bool


ListResult = Listed
ReadResult = Union[Contents, Rendered]
WriteResult = Union[Merged, Diverged, Wrote, Same, Upload, Undone, Purged, Checked, Spawned, Kept, Queued, Held, Effected, Done]
MoveResult = Union[Merged, Diverged, Wrote, Same, Held, Done]
RemoveResult = Union[Merged, Diverged, Wrote, Same, Held, Done]
SearchResult = Found
HistoryResult = Versions
SpawnResult = Union[Spawned, Held]
WaitResult = Union[Ended, Ruled, TimedOut]
SignalResult = Done
ExecResult = Ran
DispatchResult = Union[Spawned, Queued, Held, Done]
CompleteResult = Union[Completed, Held]
ProposeResult = Union[Held, Effected, Done]
DecideResult = Union[Ruled, Previewed, Held, Effected, Done]
GrantResult = Granted
RevokeResult = Revoked
TraceResult = Records


class Calls:
    """Every call that is served. What is not given is not sent."""

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """One call by its name."""
        raise NotImplementedError

    def list(
        self,
        path: str,
        *,
        at: Optional[int] = None,
        at_us: Optional[int] = None,
    ) -> ListResult:
        """Names in a directory, with what each is.

        :param path: the path
        :param at: as it was after this record
        :param at_us: as it was at this time, in microseconds since 1970-01-01 UTC
        """
        result: ListResult = self.call(
            "list",
            {
                "path": path,
                "at": at,
                "at_us": at_us,
            },
        )
        return result

    def read(
        self,
        path: str,
        *,
        at: Optional[int] = None,
        at_us: Optional[int] = None,
        version: Optional[int] = None,
        offset: Optional[int] = None,
        length: Optional[int] = None,
    ) -> ReadResult:
        """Bytes of a file, and its version.

        :param path: the path
        :param at: as it was after this record
        :param at_us: as it was at this time, in microseconds since 1970-01-01 UTC
        :param version: this version of it, whatever stands there now
        :param offset: from this byte on
        :param length: at most so many bytes; 1 MiB is the most
        """
        result: ReadResult = self.call(
            "read",
            {
                "path": path,
                "at": at,
                "at_us": at_us,
                "version": version,
                "offset": offset,
                "length": length,
            },
        )
        return result

    def write(
        self,
        path: str,
        text: Optional[Text] = None,
        *,
        mode: Optional[str] = None,
        find: Optional[Text] = None,
        base: Optional[int] = None,
        exec: Optional[bool] = None,
        version: Optional[int] = None,
        take: Optional[str] = None,
        upload: Optional[int] = None,
        operation: Optional[int] = None,
        pid: Optional[int] = None,
        effect: Optional[str] = None,
        message: Optional[Text] = None,
        origin: Optional[str] = None,
    ) -> WriteResult:
        """A new version of a file: whole, append, patch, dir, link, restore or resolve; or an upload in parts.

        :param path: the path
        :param mode: whole (default), append, patch, dir, link, restore, resolve, begin, part, check
        :param text: the new content, what is appended, put in place, or the link's target
        :param find: patch: the text to replace; it must stand exactly once
        :param base: the version this change was made from
        :param exec: whole: may be run as a program
        :param version: restore: this version; resolve: the diverged version
        :param take: resolve: ours (the diverged version), theirs (the head) or text
        :param upload: part: of this upload; whole: these uploaded bytes
        :param operation: restore: what stood before this operation
        :param pid: restore: what stood before this process wrote
        :param effect: restore: take this effect back, by the kind its driver declares for that
        :param message: why
        :param origin: typed, argument, pipe or file; only the first two are words of an operator
        """
        result: WriteResult = self.call(
            "write",
            {
                "path": path,
                "mode": mode,
                "text": text,
                "find": find,
                "base": base,
                "exec": exec,
                "version": version,
                "take": take,
                "upload": upload,
                "operation": operation,
                "pid": pid,
                "effect": effect,
                "message": message,
                "origin": origin,
            },
        )
        return result

    def move(
        self,
        from_: str,
        to: str,
        *,
        base: Optional[int] = None,
    ) -> MoveResult:
        """Give a file or directory another path; its history goes with it.

        :param from_: where it is
        :param to: where it shall be
        :param base: the version this change was made from
        """
        result: MoveResult = self.call(
            "move",
            {
                "from": from_,
                "to": to,
                "base": base,
            },
        )
        return result

    def remove(
        self,
        path: str,
        *,
        base: Optional[int] = None,
        tree: Optional[bool] = None,
    ) -> RemoveResult:
        """A version that says it is gone.

        :param path: the path
        :param base: the version this change was made from
        :param tree: also a directory that is not empty
        """
        result: RemoveResult = self.call(
            "remove",
            {
                "path": path,
                "base": base,
                "tree": tree,
            },
        )
        return result

    def search(
        self,
        query: Text,
        *,
        path: Optional[str] = None,
        author: Optional[str] = None,
        label: Optional[str] = None,
        since_us: Optional[int] = None,
        until_us: Optional[int] = None,
        at: Optional[int] = None,
        at_us: Optional[int] = None,
        limit: Optional[int] = None,
    ) -> SearchResult:
        """Full text of the files you may read, best first.

        :param query: words that must all stand in it; "a phrase"; a* for a beginning
        :param path: at or below this path
        :param author: whose head it is: a principal, as agent:triage
        :param label: only of this integrity: system, operator, workspace, external
        :param since_us: changed at or after this time, in microseconds since 1970
        :param until_us: changed before this time
        :param at: as it was after this record
        :param at_us: as it was at this time, in microseconds since 1970-01-01 UTC
        :param limit: at most so many
        """
        result: SearchResult = self.call(
            "search",
            {
                "query": query,
                "path": path,
                "author": author,
                "label": label,
                "since_us": since_us,
                "until_us": until_us,
                "at": at,
                "at_us": at_us,
                "limit": limit,
            },
        )
        return result

    def history(
        self,
        *,
        path: Optional[str] = None,
        before: Optional[int] = None,
        operation: Optional[int] = None,
        limit: Optional[int] = None,
    ) -> HistoryResult:
        """Versions of a file, newest first; or all that an operation changed.

        :param path: the file
        :param before: path: only versions before this one, to page on
        :param operation: the versions of this operation instead
        :param limit: at most so many
        """
        result: HistoryResult = self.call(
            "history",
            {
                "path": path,
                "before": before,
                "operation": operation,
                "limit": limit,
            },
        )
        return result

    def spawn(
        self,
        agent: str,
        text: Text,
        *,
        origin: Optional[str] = None,
        post: Optional[Sequence[Mapping[str, str]]] = None,
        budget: Optional[str] = None,
        ceiling: Optional[str] = None,
        inputs: Optional[Mapping[str, Value]] = None,
        kind: Optional[str] = None,
        program: Optional[Mapping[str, Value]] = None,
    ) -> SpawnResult:
        """Start an agent on a task.

        :param agent: which agent
        :param text: the text
        :param origin: typed, argument, pipe or file; only the first two are words of an operator
        :param post: what must be so when it is done
        :param budget: money for this run; can only lower
        :param ceiling: what lies below it is invisible: external (default: nothing is), workspace, operator
        :param inputs: values of inputs that its AGENT.md declares
        :param kind: turn (default), or client: a program that shows its token acts for it
        :param program: by an operator: command, dir, stdio, tools, env of this run
        """
        result: SpawnResult = self.call(
            "spawn",
            {
                "agent": agent,
                "text": text,
                "origin": origin,
                "post": post,
                "budget": budget,
                "ceiling": ceiling,
                "inputs": inputs,
                "kind": kind,
                "program": program,
            },
        )
        return result

    def wait(
        self,
        *,
        pid: Optional[int] = None,
        proposal: Optional[int] = None,
        timeout_ms: Optional[int] = None,
    ) -> WaitResult:
        """Until a process ends, a proposal is decided, or a time has passed.

        :param pid: this process
        :param proposal: this proposal
        :param timeout_ms: at most so long
        """
        result: WaitResult = self.call(
            "wait",
            {
                "pid": pid,
                "proposal": proposal,
                "timeout_ms": timeout_ms,
            },
        )
        return result

    def signal(
        self,
        pid: int,
        signal: str,
    ) -> SignalResult:
        """Freeze, thaw, interrupt or kill a process and what it started.

        :param pid: which
        :param signal: freeze, thaw, interrupt, kill
        """
        result: SignalResult = self.call(
            "signal",
            {
                "pid": pid,
                "signal": signal,
            },
        )
        return result

    def exec(
        self,
        text: Text,
        *,
        dir: Optional[str] = None,
        pid: Optional[int] = None,
        wall: Optional[str] = None,
        timeout_ms: Optional[int] = None,
        stdio: Optional[str] = None,
        origin: Optional[str] = None,
    ) -> ExecResult:
        """A command in a process's sandbox: what it changes is one operation, or none of it happened.

        :param text: what to run, in the words of a shell
        :param dir: in this directory; without one, where programs may run
        :param pid: in the sandbox of this process; without one, of the caller
        :param wall: auto (default), shell: no program of the host, native: real programs
        :param timeout_ms: at most so long; two minutes without one
        :param stdio: null (default), pipe or terminal[:ROWSxCOLS]: what operators send it
        :param origin: typed, argument, pipe or file; only the first two are words of an operator
        """
        result: ExecResult = self.call(
            "exec",
            {
                "text": text,
                "dir": dir,
                "pid": pid,
                "wall": wall,
                "timeout_ms": timeout_ms,
                "stdio": stdio,
                "origin": origin,
            },
        )
        return result

    def dispatch(
        self,
        agent: str,
        text: Text,
        *,
        origin: Optional[str] = None,
        mode: Optional[str] = None,
        inputs: Optional[Mapping[str, Value]] = None,
        session: Optional[str] = None,
    ) -> DispatchResult:
        """Text to an agent's session.

        :param agent: which agent
        :param text: the text
        :param origin: typed, argument, pipe or file; only the first two are words of an operator
        :param mode: follow_up (default), steer, interrupt
        :param inputs: values of inputs that its AGENT.md declares
        :param session: go on with this session; without one, nothing is remembered
        """
        result: DispatchResult = self.call(
            "dispatch",
            {
                "agent": agent,
                "text": text,
                "origin": origin,
                "mode": mode,
                "inputs": inputs,
                "session": session,
            },
        )
        return result

    def complete(
        self,
        model: str,
        text: Text,
        *,
        origin: Optional[str] = None,
        max_out: Optional[int] = None,
    ) -> CompleteResult:
        """One model call.

        :param model: which model
        :param text: the text
        :param origin: typed, argument, pipe or file; only the first two are words of an operator
        :param max_out: output tokens
        """
        result: CompleteResult = self.call(
            "complete",
            {
                "model": model,
                "text": text,
                "origin": origin,
                "max_out": max_out,
            },
        )
        return result

    def propose(
        self,
        mount: str,
        kind: str,
        args: Mapping[str, Value],
    ) -> ProposeResult:
        """An effect outside, a question (operator ask), whether one may go on (operator permit), an endorsement (operator endorse); applied, or held.

        :param mount: at which mount; operator for a question or an endorsement
        :param kind: which effect, as mail.send
        :param args: its arguments
        """
        result: ProposeResult = self.call(
            "propose",
            {
                "mount": mount,
                "kind": kind,
                "args": args,
            },
        )
        return result

    def decide(
        self,
        proposal: int,
        verdict: str,
        *,
        reason: Optional[Text] = None,
        digest: Optional[str] = None,
        args: Optional[Mapping[str, Value]] = None,
    ) -> DecideResult:
        """Approve or reject a proposal, approve it with other arguments, or answer a question.

        :param proposal: which
        :param verdict: approve, reject, answer or modify
        :param reason: why; to a question, the answer
        :param digest: what was shown; that of its group decides all of the group
        :param args: modify: arguments that shall be others, an empty list for none; without a digest it is only shown what would be done
        """
        result: DecideResult = self.call(
            "decide",
            {
                "proposal": proposal,
                "verdict": verdict,
                "reason": reason,
                "digest": digest,
                "args": args,
            },
        )
        return result

    def grant(
        self,
        pid: int,
        need: str,
        *,
        expires_ms: Optional[int] = None,
    ) -> GrantResult:
        """Give a process a part of a capability that you hold.

        :param pid: to whom
        :param need: what, as in an agent's needs: read /data/**
        :param expires_ms: for so long
        """
        result: GrantResult = self.call(
            "grant",
            {
                "pid": pid,
                "need": need,
                "expires_ms": expires_ms,
            },
        )
        return result

    def revoke(
        self,
        cap: int,
    ) -> RevokeResult:
        """Take a capability back, and all derived from it.

        :param cap: which
        """
        result: RevokeResult = self.call(
            "revoke",
            {
                "cap": cap,
            },
        )
        return result

    def trace(
        self,
        *,
        from_: Optional[int] = None,
        limit: Optional[int] = None,
        pid: Optional[int] = None,
        follow: Optional[bool] = None,
        why: Optional[str] = None,
    ) -> TraceResult:
        """Records of the log.

        :param from_: after this record
        :param limit: at most so many
        :param pid: of this process and those below it
        :param follow: and go on as they come
        :param why: instead: every record that led to version:N, operation:N, proposal:N, effect:HASH, pid:N or label:N
        """
        result: TraceResult = self.call(
            "trace",
            {
                "from": from_,
                "limit": limit,
                "pid": pid,
                "follow": follow,
                "why": why,
            },
        )
        return result

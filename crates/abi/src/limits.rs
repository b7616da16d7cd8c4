//! Every maximum, with its reason; the relations between them hold at compile time.

/// Bytes of one blob kept inside the database; larger content lies in chunk files.
pub const BLOB_INLINE_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of one chunk file: what is read, hashed and copied at once, so that memory stays flat.
pub const CHUNK_BYTES: u64 = 1024 * 1024;
/// Bytes of one file: 16,384 chunks, whose list is a row of half a megabyte.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Uploads open on one connection: each holds a chunk of memory.
pub const UPLOADS_MAX: usize = 8;
/// Bytes of each of the three contents of a merge: the time of a merge grows faster than its length.
pub const MERGE_BYTES_MAX: u64 = 1024 * 1024;
/// Files merged for one event, so that an undo of a large operation does not hold a worker for minutes.
pub const MERGES_MAX: usize = 256;
/// How often a write is merged anew because the head moved meanwhile; then it diverges.
pub const MERGE_ROUNDS_MAX: u32 = 4;
/// Bytes of a search's query.
pub const QUERY_BYTES_MAX: usize = 512;
/// Terms of a query: each is a walk of the index.
pub const QUERY_TERMS_MAX: usize = 16;
/// Terms of a query that are only a beginning: each gathers every word that begins so.
pub const QUERY_OPEN_MAX: usize = 4;
/// Hits of a search that says no limit.
pub const HITS_DEFAULT: u32 = 20;
/// Hits of a search at most.
pub const HITS_MAX: u32 = 1_000;
/// Candidates of the index that a search looks at before it says that there are more.
pub const CANDIDATES_MAX: u32 = 20_000;
/// How long a search lets the index catch up before it answers from what is there.
pub const CATCH_UP_US_MAX: u64 = 50_000;
/// Bytes of one file that are indexed.
pub const INDEXED_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that one search reads for its snippets, or to look through an earlier tree: a tenth of a second.
pub const SEARCHED_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long the index may take of a workspace at a time when nothing else waits for it.
pub const FOLD_US_MAX: u64 = 5_000;
/// How long after a change the index takes it in, so that it does so once for many.
pub const FOLD_AFTER_US: u64 = 50_000;
/// Bytes of a snippet around a hit.
pub const SNIPPET_BYTES_MAX: usize = 240;
/// Versions thinned by one record.
pub const THINNED_MAX: usize = 1_000;
/// Retention rules of a workspace.
pub const RETAIN_RULES_MAX: usize = 64;
/// How often versions are thinned.
pub const THIN_EVERY_US: u64 = 24 * 3600 * 1_000_000;
/// Records that `why` follows back.
pub const WHY_RECORDS_MAX: usize = 10_000;
/// Bytes of the reason of a purge.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Records kept in `workspace.db` itself; older ones are sealed into segments of this many.
pub const SEGMENT_RECORDS: u64 = 100_000;
/// Bytes of one value in a message (`text` or decoded `base64`).
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one line on the socket: a value as base64 (4/3) and its envelope.
pub const LINE_BYTES_MAX: usize = 1_500_000;
/// Nesting of a JSON message: deeper input is refused before it can exhaust a stack.
pub const JSON_DEPTH_MAX: usize = 32;
/// Bytes of arguments of a call or an effect, and of a task's text: they enter the loop.
pub const ARGUMENT_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a whole path.
pub const PATH_BYTES_MAX: usize = 4096;
/// Bytes of one component; what file systems under a view can store.
pub const NAME_BYTES_MAX: usize = 255;
/// Components of a path, so that no walk of the tree is unbounded.
pub const PATH_DEPTH_MAX: usize = 128;
/// Steps of deciding whether one pattern includes another. What people write takes fewer than ten for each
/// component; patterns made for it take exponentially many, and more than this counts as not included.
pub const PATTERN_STEPS_MAX: usize = 512;
/// Steps of SQLite's machine that a statement of the store may take in a small file: a tenth of a second.
pub const STATEMENT_STEPS: u64 = 10_000_000;
/// And for each byte of the file beside that. The densest rows have 20 bytes, a way to one takes 50 steps.
pub const STATEMENT_STEPS_A_BYTE: u64 = 8;
/// Bytes of a principal, agent, mount, model or kind name.
pub const WORD_BYTES_MAX: usize = 64;
/// Lookups one event may ask for.
pub const LOOKUPS_MAX: usize = 16;
/// Events decided in one transaction, and the work time after which a batch ends anyway.
pub const BATCH_EVENTS_MAX: usize = 256;
/// See `BATCH_EVENTS_MAX`.
pub const BATCH_WORK_US_MAX: u64 = 2_000;
/// Events waiting at one workspace; a caller over it is told `Busy`.
pub const INBOX_EVENTS_MAX: usize = 4096;
/// Workspaces in memory at once: six file descriptors (file, log and shared memory, of the index too) and
/// some 300 KB each.
pub const AWAKE_WORKSPACES_MAX: usize = 512;
/// Descriptors the daemon asks the system for: those of all awake workspaces and clients, and as many again
/// for segments, workers and what is being opened.
pub const DESCRIPTORS_MAX: u64 = 8192;
/// Sources kept one by one in a label before they collapse to mounts.
pub const LABEL_SOURCES_MAX: usize = 64;
/// Principals in a label's readers before it collapses to nobody.
pub const LABEL_READERS_MAX: usize = 64;
/// Processes alive in one workspace.
pub const PROCESSES_MAX: usize = 4096;
/// Depth of the process tree, and so of the account tree.
pub const PROCESS_DEPTH_MAX: usize = 16;
/// Capabilities one process may hold.
pub const CAPS_HELD_MAX: usize = 4096;
/// Paths whose last-seen version a process remembers.
pub const SEEN_PATHS_MAX: usize = 4096;
/// Ended processes that still answer `wait` and `/proc`.
pub const ENDED_PROCESSES_MAX: usize = 256;
/// Proposals waiting at once.
pub const PROPOSALS_MAX: usize = 1024;
/// Of one run: none fills the inbox alone, and nobody reads more than these.
pub const PROPOSALS_RUN_MAX: usize = 32;
/// Dispatches waiting in one lane: of an agent, or of one of its sessions.
pub const LANE_MAX: usize = 64;
/// And in all lanes of a workspace: sessions cost nothing to name.
pub const LANES_MAX: usize = 1024;
/// Sessions that a workspace remembers; beyond them the oldest that rests is forgotten. The log has it.
pub const SESSIONS_MAX: usize = 256;
/// Items of a session's context: sixty-four questions and answers, more than a person goes back to.
pub const SESSION_ITEMS_MAX: usize = 128;
/// Bytes of them. At two bytes a token a turn sets aside 65,536 tokens for it, which models in use can read.
pub const SESSION_BYTES_MAX: u64 = 128 * 1024;
/// Tool calls taken from one model answer.
pub const TOOLS_PER_STEP_MAX: u32 = 64;
/// How long a provider may have a failed call wait: longer, and an operator should know that nothing happens.
pub const RETRY_AFTER_US_MAX: u64 = 15 * 60 * 1_000_000;
/// Bytes of a piece of a program's request that goes on in the next piece: an inline blob.
pub const PIECE_BYTES: usize = BLOB_INLINE_BYTES_MAX as usize;
/// Bytes of a program's request: what the largest providers take.
pub const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Pieces of a program's request: messages, and what of them is longer than a piece.
pub const REQUEST_PIECES_MAX: usize = 16 * 1024;
/// Bytes that an image in a request weighs: 3,000 tokens, more than any provider counts for one it takes.
pub const IMAGE_WEIGHT_BYTES: u64 = 3_000 * RESERVE_BYTES_PER_TOKEN;
/// Output tokens of a program's call that names no limit: what the largest models can say.
pub const REQUEST_OUT_MAX: u64 = 131_072;
/// Bytes of an answer as it came, before it is packed to be kept; beyond them the stream is ended.
pub const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Programs connected to the model endpoint at once.
pub const PROGRAMS_MAX: usize = 256;
/// Bytes of the requests of all programs that are read at once.
pub const REQUESTS_BYTES_MAX: usize = 8 * REQUEST_BYTES_MAX;
/// Steps of one turn; a turn that needs more is a loop.
pub const STEPS_MAX: u32 = 1000;
/// Postconditions of one task.
pub const POSTCONDITIONS_MAX: usize = 8;
/// Directories of the host bound to one workspace.
pub const BOUND_MAX: usize = 32;
/// Entries one operation may change; a tree larger than this is moved or removed in parts.
pub const OPERATION_ENTRIES_MAX: usize = 10_000;
/// Changes of one command: an installation of many packages, and what its one record may weigh.
pub const COMMIT_CHANGES_MAX: usize = 50_000;
/// How long a command may take that says nothing about it.
pub const EXEC_US_DEFAULT: u64 = 120 * 1_000_000;
/// How long one may take at most.
pub const EXEC_US_MAX: u64 = 24 * 3600 * 1_000_000;
/// What of a command's output is told in its answer; the whole of it is a blob.
pub const EXEC_OUTPUT_BYTES: usize = 16 * 1024;
/// What of a command's output is kept at all; more is counted and dropped.
pub const EXEC_OUTPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Commands at a time in one process's sandbox.
pub const EXECS_PROCESS_MAX: usize = 8;
/// Commands at a time in a workspace.
pub const EXECS_MAX: usize = 256;
/// Drafts that nobody has kept or dropped yet: each is a row of the kernel's memory, and some people forget.
pub const DRAFTS_MAX: usize = 1_000;
/// The text of a draft's changes: it is held in memory while it is written and read.
pub const LAYER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Paths that the answer to a command names.
pub const EXEC_PATHS_TOLD: usize = 100;
/// How often a turn's command is begun again after a daemon died under it.
pub const EXEC_ATTEMPTS_MAX: u32 = 2;
/// Bytes that one command may write into its view.
pub const VIEW_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Files, directories and links that one command may make.
pub const VIEW_FILES_MAX: u64 = 1_000_000;
/// Lines of one file of `/sys/cost`: a reply holds as many of them.
pub const COST_ROWS_MAX: u32 = 4_000;
/// Bytes of a file of a bound directory that becomes a version since a call names it; programs read larger
/// ones where they stand.
pub const LOOK_BYTES_MAX: u64 = 64 << 20;
/// Entries one `list` or `history` or `trace` answers.
pub const LISTING_MAX: u32 = 10_000;
/// Bytes of a model answer in its canonical form, which is kept as an inline blob; beyond it the stream is
/// ended.
pub const ANSWER_BYTES_MAX: u64 = BLOB_INLINE_BYTES_MAX;
/// Output tokens reserved for a model call before it starts, and added at each top-up.
pub const OUTPUT_STEP_TOKENS: u64 = 1024;
/// Output tokens of one step of a turn at most, reached by top-ups.
pub const TURN_OUTPUT_TOKENS_MAX: u64 = 8192;
/// Bytes of input that are reserved as one token: no tokenizer makes more than one token of two bytes on
/// text.
pub const RESERVE_BYTES_PER_TOKEN: u64 = 2;
/// Bytes that are taken for one token when a provider's count is checked.
pub const COUNT_BYTES_PER_TOKEN: u64 = 4;
/// Times a model call of unknown outcome is bought again.
pub const MODEL_ATTEMPTS_MAX: u32 = 2;
/// Failed model calls in a row before a turn is faulted.
pub const MODEL_FAILURES_MAX: u32 = 4;
/// Records between two snapshots.
pub const SNAPSHOT_RECORDS: u64 = 10_000;
/// Bytes of records between two snapshots.
pub const SNAPSHOT_BYTES: u64 = 4 * 1024 * 1024;
/// Records between two checkpoints: a full batch more is still within a thousand.
pub const CHECKPOINT_RECORDS: u64 = 500;
/// Bytes of a file of checkpoints, more than a hundred thousand; a larger one is put aside.
pub const CHECKPOINTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one checkpoint.
pub const CHECKPOINT_BYTES_MAX: u64 = 4096;
/// Jump of the clock that raises an alarm.
pub const CLOCK_JUMP_US: u64 = 60_000_000;
/// Times an event may kill its workspace before it is set aside.
pub const POISON_KILLS_MAX: u32 = 3;
/// Clients connected to the door at once.
pub const CLIENTS_MAX: usize = 256;
/// Requests of one client that wait for an answer.
pub const CLIENT_REQUESTS_MAX: usize = 1024;
/// Bytes waiting for a client that does not read; over it the client is dropped.
pub const CLIENT_BACKLOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of what a terminal showed last: who attaches sees them; a full screen of colours is a tenth of it.
pub const SCROLLBACK_BYTES_MAX: usize = 256 * 1024;
/// Bytes that were typed and that a program has not read.
pub const TYPED_BYTES_MAX: usize = 256 * 1024;
/// Terminals that one connection looks at.
pub const SCREENS_MAX: usize = 16;
/// Requests of an agent that speaks a protocol which wait for an answer at a time: each has a thread.
pub const ACP_ASKS_MAX: usize = 16;
/// Lines of such an agent that are no message of the protocol, before it is taken for one that speaks none.
pub const ACP_STRAY_MAX: usize = 64;
/// Options of a question for permission, and ways to log in that are tried.
pub const ACP_OPTIONS_MAX: usize = 16;
/// See `ACP_OPTIONS_MAX`.
pub const ACP_LOGINS_MAX: usize = 4;
/// Files and changes that one question is about: more is not looked through by who decides.
pub const ACP_PATHS_MAX: usize = 64;
/// Words, and variables, of a command that such an agent has run.
pub const ACP_WORDS_MAX: usize = 256;
/// Servers of the Model Context Protocol that it is told of.
pub const ACP_SERVERS_MAX: usize = 32;
/// Steps of a plan that are shown.
pub const ACP_STEPS_MAX: usize = 32;
/// Characters of a title, of a step: a line of a wide terminal.
pub const ACP_TITLE_CHARS_MAX: usize = 200;
/// Tool calls whose titles are remembered, so that their end can be told by name.
pub const ACP_ACTS_MAX: usize = 64;
/// Terminals that such an agent has not released.
pub const ACP_TERMINALS_MAX: usize = 16;
/// Bytes that are kept of what each of them said, if it asks for no less.
pub const ACP_TERMINAL_BYTES_MAX: usize = 256 * 1024;
/// Effects running at drivers at once, over all workspaces.
pub const DISPATCHES_MAX: usize = 64;
/// Kinds of one manifest, and arguments of one kind.
pub const KINDS_MAX: usize = 256;
/// Steering values and links of one effect that are looked up; an effect with more of them asks.
pub const VOUCHED_MAX: usize = 256;
/// Bytes of the files of one mount's directory that are looked through.
pub const DIRECTORY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Versions that a URL may have been quoted from: what the process saw last.
pub const QUOTED_VERSIONS_MAX: usize = 256;
/// Bytes of them that are looked through.
pub const QUOTED_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Sends to vouched receivers under an external label that go out of one run without a prompt.
pub const SENDS_MAX: u32 = 5;
/// Bits of choice that one message of an endorsing channel may have.
pub const ENDORSED_BITS_MESSAGE: u32 = 64;
/// And all of a run together.
pub const ENDORSED_BITS_RUN: u32 = 256;
/// Bytes of a channel's schema; it is read by people.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Arrays and objects of a schema in one another.
pub const SCHEMA_DEPTH_MAX: u32 = 8;
/// Values of one enumeration: each is compared with each.
pub const SCHEMA_CHOICES_MAX: usize = 1024;
/// Items of an array that a schema can ask for.
pub const SCHEMA_ITEMS_MAX: u32 = 4096;
/// Bytes of one message of a typed channel.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Standing rules, operators and money rows of a policy.
pub const POLICY_ROWS_MAX: usize = 256;
/// Models of one tier: each that fails costs its retries before the next is asked.
pub const TIER_MODELS_MAX: usize = 8;
/// Operators that a node knows beside who runs it: each is an entry of the access list of its door.
pub const OPERATORS_MAX: usize = 64;
/// Secrets that one connection lends: one for each provider of a tier.
pub const LENT_MAX: usize = 8;
/// Bytes of a secret's value: longer than any provider's key, and one header of a request.
pub const SECRET_BYTES_MAX: usize = 4096;
/// Bytes of a standing rule's value: a long address or identifier, not a text.
pub const STANDING_BYTES_MAX: usize = 1024;
/// Proposals decided at once: each asks for three lookups at most.
pub const GROUP_MAX: usize = 5;
/// Choices of a question.
pub const CHOICES_MAX: usize = 16;
/// Lines of what a proposal shows that fit on a page; approving asks for every page to have been shown.
pub const PAGE_LINES: usize = 40;
/// Columns of such a page, which fit a terminal of 80 behind a mark: a longer line takes more rows.
pub const PAGE_COLUMNS: usize = 76;
/// Characters of a value on one shown line: two lines of a common terminal. A longer value goes on below.
pub const SHOWN_LINE_CHARS: usize = 160;
/// Marks on one letter that are shown: no script of a living language needs more; a flood of them covers the
/// lines around it.
pub const SHOWN_MARKS_MAX: usize = 3;
/// Blanks in a row that are shown: the deepest indentation a person reads. More push text out of sight.
pub const SHOWN_BLANKS_MAX: usize = 24;
/// How long a proposal waits that moves money.
pub const MONEY_WAIT_US: u64 = 12 * 3600 * 1_000_000;
/// How long a proposal waits when its effect cannot be taken back.
pub const IRREVERSIBLE_WAIT_US: u64 = 24 * 3600 * 1_000_000;
/// How long any other proposal waits.
pub const REVERSIBLE_WAIT_US: u64 = 72 * 3600 * 1_000_000;

/// What a turn remembers of its calls, to know news: of some 170 calls.
pub const KNOWN_MAX: usize = 512;
/// Changes of one operation that are looked at for news: the first of them tell.
pub const NEWS_MAX: usize = 32;
/// A wait that takes so long is no call of a loop.
pub const WAITED_US: u64 = 10_000_000;
/// Same (tool, arguments, outcome): a note, then a pause, then a freeze.
pub const REPEATS_NOTE: u32 = 3;
/// See `REPEATS_NOTE`.
pub const REPEATS_BACKOFF: u32 = 5;
/// See `REPEATS_NOTE`.
pub const REPEATS_FREEZE: u32 = 8;
/// Tool calls without a new version or a new source before a freeze.
pub const IDLE_CALLS_FREEZE: u32 = 12;
/// Money spent without progress before a freeze, in nano-units.
pub const IDLE_SPEND_FREEZE: i64 = 500_000_000;

/// Bytes of a write-ahead log at which it is carried over into its file, beside the loop; and again after as
/// many more. SQLite's own measure.
pub const LOG_CARRY_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a write-ahead log at which the loop itself carries it over: reads look through all of it, and a
/// start reads it.
pub const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes held back on the disk for what must be recorded when it is full: thousands of freezes and
/// rejections, and the waking of every workspace that is awake at most.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Free bytes at which a full disk counts as having room again: the reserve, and as much beside it, so that
/// it does not come and go with every write.
pub const RESERVE_AGAIN_BYTES: u64 = 2 * RESERVE_BYTES;

/// The latest format of `workspace.db` this program knows; what is newer is refused.
pub const WORKSPACE_FORMAT: u32 = 3;
/// The same of `node.db`.
pub const NODE_FORMAT: u32 = 3;
/// Workspaces that one look at the health of all opens.
pub const HEALTH_ROWS_MAX: usize = 256;
/// Bytes of files whose every page that look checks, all together: a fraction of a second of reading.
pub const HEALTH_PAGES_BYTES_MAX: u64 = 128 * 1024 * 1024;

const _: () = assert!(LINE_BYTES_MAX > VALUE_BYTES_MAX * 4 / 3, "a value as base64 must fit one line");
const _: () = assert!(ARGUMENT_BYTES_MAX <= BLOB_INLINE_BYTES_MAX, "arguments are kept as inline blobs");
const _: () =
    assert!(VALUE_BYTES_MAX as u64 >= ANSWER_BYTES_MAX, "an answer can be read back in one message");
const _: () = assert!(CHUNK_BYTES <= VALUE_BYTES_MAX as u64, "a chunk can be read in one message");
const _: () = assert!(BLOB_INLINE_BYTES_MAX < CHUNK_BYTES, "what is small enough is inline");
const _: () = assert!(SEGMENT_RECORDS > SNAPSHOT_RECORDS, "what is sealed lies before the last snapshot");
const _: () = assert!(NAME_BYTES_MAX < PATH_BYTES_MAX, "a component fits a path");
const _: () = assert!(BATCH_EVENTS_MAX < INBOX_EVENTS_MAX, "a full batch can wait while one commits");
const _: () = assert!(CLIENT_BACKLOG_BYTES_MAX > 2 * LINE_BYTES_MAX, "one answer never drops its reader");
const _: () = assert!(REPEATS_NOTE < REPEATS_BACKOFF && REPEATS_BACKOFF < REPEATS_FREEZE, "a ladder");
const _: () = assert!(REPEATS_FREEZE <= IDLE_CALLS_FREEZE, "the narrow signal fires first");
const _: () = assert!(GROUP_MAX * 3 <= LOOKUPS_MAX, "a group is decided by one event");
const _: () = assert!(
    SESSION_BYTES_MAX >= ARGUMENT_BYTES_MAX + ANSWER_BYTES_MAX,
    "the longest question and its answer are remembered"
);
const _: () = assert!(LANE_MAX < INBOX_EVENTS_MAX, "a lane is bounded tighter than the door");

/// Inputs that an AGENT.md may declare: more than a person would fill in.
pub const INPUTS_MAX: usize = 32;

/// Skills that an AGENT.md may name: each is a line of every prompt of it.
pub const SKILLS_MAX: usize = 64;

/// Rows of each kind in `/sys/halts`: more than a person reads; the rest is a count.
pub const HALTS_MAX: usize = 64;

/// Connections that programs of one sandbox have open to its proxy: those of a package manager, and room.
pub const EGRESS_CONNECTIONS_MAX: usize = 64;
/// Headers of a request that goes out, and bytes of its head: more than any server takes.
pub const EGRESS_HEADERS_MAX: usize = 100;
/// See `EGRESS_HEADERS_MAX`.
pub const EGRESS_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes that programs of one sandbox may send: a large repository, not a disk.
pub const EGRESS_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Bytes of written files that one view holds in memory; the rest lies in its spool.
pub const VIEW_MEMORY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Addresses of a view's spool, used once each: what the smallest common limit of a file's size allows.
pub const SPOOL_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024 * 1024;
/// Programs that wait in one view until what they wrote is lasting, and rows that caches above it are still
/// to forget: a thread waits in one `fsync`, and a sandbox has fewer; a tree that changes everywhere at once
/// has more rows than fit in so many.
pub const VIEW_WAITING_MAX: usize = 65_536;
pub const VIEW_STALE_MAX: usize = 1_000_000;
/// Addresses that programs of one sandbox are known to listen at: those of a page, a database and what builds
/// them, many times over; the rest is not shown.
pub const PORTS_MAX: usize = 64;
/// How many of them are recorded in an hour, so that who opens and closes them without end does not fill the
/// log.
pub const PORTS_HOUR_MAX: u32 = 600;
/// Bytes of the name of the program that listens: the host's own limit, and room.
pub const PORT_PROGRAM_BYTES_MAX: usize = 64;
/// Whoever ends a sandbox hears of it when all in it has ended, or after so long that it has not: the machine
/// kills and reaps in tens of milliseconds, and what hangs in the kernel may hang for ever.
pub const SANDBOX_END_US_MAX: u64 = 5_000_000;
/// Ports of sandboxes that one connection keeps open to its host, and connections to one of them at a time:
/// those of a browser, and room.
pub const FORWARDS_MAX: usize = 16;
/// See `FORWARDS_MAX`.
pub const FORWARD_CONNECTIONS_MAX: usize = 64;
/// Bytes of the extended attributes of one file in a view.
pub const XATTR_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all extended attributes of a view, which lie in memory.
pub const VIEW_XATTR_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Ranges that the written files of a view are kept in, each a row in memory: 8 GiB in pages, each written
/// by itself.
pub const VIEW_RANGES_MAX: u64 = 2_000_000;
/// Names that the open directories of a view hold for their listings, but for one that is alone.
pub const VIEW_LISTED_MAX: usize = 2_000_000;
/// Symbolic links followed on one way, as Linux does.
pub const LINKS_FOLLOWED_MAX: usize = 40;
/// Bytes of a POST of git's that asks for what a repository has, and so counts as a look: more words than
/// that are a message.
pub const GIT_ASKS_BYTES_MAX: u64 = 256 * 1024;
/// How long a connection that an operator said no to, or let lapse, is refused without being asked again: a
/// program that tries on would fill an inbox, and one that was refused in error has `skep allow`.
pub const TURNED_DOWN_US: u64 = 10 * 60 * 1_000_000;
/// Of those, so many are known at a time; then the ones that end first are forgotten.
pub const TURNED_DOWN_MAX: usize = 1024;

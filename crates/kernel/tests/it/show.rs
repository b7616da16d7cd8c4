//! Decisions as text: one line a record, an effect, an alarm. Ids of effects become `e1`, `e2`; bytes that
//! the world knows become their text; labels and amounts their meaning.

use crate::world::World;
use abi::{
    Content, EffectId, LabelId,
    answer::Answer,
    call::{Call, Fields, Write},
    cap::Rights,
    effect::{Command, Effect, Item},
    fact::{Query, Spoken},
    money::{Amounts, Nano, Resource},
    path::Pattern,
    record::{Entry, Record},
    session::SessionName,
    view::{Kind, Plan},
};
use kernel::Kernel;

/// What is needed to name things.
pub struct Show<'a> {
    pub kernel: &'a Kernel,
    pub world: &'a World,
    /// Effects in the order they were first seen.
    pub effects: &'a mut Vec<EffectId>,
}

impl Show<'_> {
    fn effect_name(&mut self, effect: &EffectId) -> String {
        let known = self.effects.iter().position(|other| other == effect);
        let ix = known.unwrap_or_else(|| {
            self.effects.push(*effect);
            self.effects.len() - 1
        });
        format!("e{}", ix + 1)
    }

    fn label(&self, id: &LabelId) -> String {
        self.kernel.label(*id).map_or_else(|| format!("label?{id}"), |label| format!("<{label}>"))
    }

    /// Arguments of an effect, or the text of a held write.
    fn fields_text(&self, args: &Content) -> String {
        let bytes = self.world.blobs.get(&args.hash).map(Vec::as_slice).unwrap_or_default();
        if let Ok(Call::Write { write: Write::Whole { content, .. }, .. }) = musli::wire::from_slice(bytes) {
            return self.text(&content);
        }
        let fields: Fields = musli::wire::from_slice(bytes).unwrap_or_default();
        let one = |(name, values): (&String, &Vec<String>)| format!("{name}={}", values.join(","));
        fields.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn text(&self, content: &Content) -> String {
        let bytes = self.world.blobs.get(&content.hash);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        match text {
            _ if content.bytes == 0 => String::from("-"),
            Some(text) if !text.chars().any(|c| c.is_control() && c != '\n') => {
                let short: String = text.chars().take(200).collect();
                format!("{:?}", self.human(&short))
            }
            _ => format!("{} bytes", content.bytes),
        }
    }

    /// Long hashes in a text, by the names we know.
    fn human(&self, text: &str) -> String {
        let mut shown = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let hex = rest.chars().take_while(char::is_ascii_hexdigit).count();
            let step = hex.max(1).min(rest.len());
            let step =
                if rest.is_char_boundary(step) { step } else { rest.chars().next().unwrap().len_utf8() };
            let (word, after) = rest.split_at(step);
            match word.parse::<abi::Hash>() {
                Ok(hash) => match self.effects.iter().position(|effect| *effect == hash) {
                    Some(ix) => shown.push_str(&format!("e{}", ix + 1)),
                    None => shown.push_str(&format!("#{}", &word[..8])),
                },
                Err(()) => shown.push_str(word),
            }
            rest = after;
        }
        shown
    }

    fn items(&self, items: &[Item]) -> String {
        let item = |item: &Item| format!("{:?} {}", item.role, self.text(&item.content));
        items.iter().map(item).collect::<Vec<_>>().join(" | ")
    }

    /// A record.
    pub fn record(&mut self, record: &Record) -> String {
        let who =
            if record.pid.0 == 0 { record.actor.clone() } else { format!("{} {}", record.pid, record.actor) };
        let word = record.body.word();
        let what = self.workspace(&record.body).or_else(|| self.process(&record.body));
        let what = what.or_else(|| self.act(&record.body)).or_else(|| self.rest(&record.body));
        format!("{word} {}  [{who}]", what.unwrap_or_default())
    }

    fn workspace(&mut self, body: &Entry) -> Option<String> {
        Some(match body {
            Entry::Genesis { lacks, .. } => format!("lacks {lacks:?}"),
            Entry::Woke { lease } | Entry::Leased { lease } => format!("lease {lease}"),
            Entry::PolicyLoaded { policy, .. } => format!("{} rows", policy.rows.len()),
            Entry::Priced { model, .. } => model.clone(),
            Entry::ModelsLoaded { models, .. } => {
                let tiers = models.tiers.iter().map(|tier| format!("{} {:?}", tier.name, tier.models));
                tiers.collect::<Vec<_>>().join(", ")
            }
            Entry::FellBack { from, to } => format!("{from} -> {to}"),
            Entry::SecretSet { name, act } => format!("{name} {act:?}"),
            Entry::OperatorSet { name, uid } => format!("{name} {uid:?}"),
            Entry::Mounted { mount, driver, .. } => format!("{mount} {driver}"),
            Entry::Unmounted { mount } => mount.clone(),
            Entry::Purged { path, files, upto, reason } => {
                format!("{path} {files:?} up to v{upto}: {}", self.text(reason))
            }
            Entry::RetainSet { rule } => format!("{} {:?}", rule.pattern, rule.keep),
            Entry::Thinned { versions } => format!("{versions:?}"),
            Entry::LabelDefined { id, label } => format!("{id} <{label}>"),
            Entry::AccountOpened { account, parent, name, limits } => {
                let limits: Vec<String> = limits.iter().map(ToString::to_string).collect();
                format!("{account} {name} below {:?} {}", parent.map(|id| id.0), limits.join(", "))
            }
            Entry::LimitSet { account, limit, by } => {
                let file = if *by == abi::record::SetBy::File { " by file" } else { "" };
                format!("{account} {limit}{file}")
            }
            Entry::Warned { account, limit } => format!("{account} {limit}"),
            Entry::Granted { cap } => {
                let until = cap.grant.expires.map(|at| format!(" until {}", seconds(at)));
                let parent = cap.parent.map_or(String::from("-"), |id| id.to_string());
                let (id, holder) = (cap.id, cap.holder);
                format!("{id} from {parent} to {holder}: {}{}", cap.grant, until.unwrap_or_default())
            }
            Entry::Revoked { caps } => format!("{:?}", caps.iter().map(|cap| cap.0).collect::<Vec<_>>()),
            Entry::ClockJumped { by } => format!("{by} us"),
            Entry::Quarantined { what, .. } => what.clone(),
            _ => return None,
        })
    }

    fn process(&mut self, body: &Entry) -> Option<String> {
        Some(match body {
            Entry::Spawned { pid, parent, run, agent, account, label, own_words, restarts, lane, .. } => {
                let label = self.label(label);
                let words = if *own_words { " own-words" } else { "" };
                let lane = if *lane { " lane" } else { "" };
                let Entry::Spawned { task, withheld, session, history, .. } = body else { return None };
                let (task, withheld) = (self.text(task), withheld.join(", "));
                let session = session.as_ref().map_or(String::new(), |name| {
                    format!(" {} history [{}]", session_name(name), self.items(history))
                });
                format!(
                    "{pid} {agent} parent {parent} run {run} account {account} {label}{words}{lane} \
                     restarts {restarts} task {task} withheld [{withheld}]{session}"
                )
            }
            Entry::Exited { pid, exit, verdict, result } => {
                let result = result.map_or(String::new(), |result| format!(" said {}", self.text(&result)));
                format!("{pid} {exit:?} {}{result}", verdict.word())
            }
            Entry::Frozen { pids, why } => {
                let why = match why {
                    abi::record::Freeze::Lost { effect } => format!("lost {}", self.effect_name(effect)),
                    other => format!("{other:?}"),
                };
                format!("{:?} {why}", pids.iter().map(|pid| pid.0).collect::<Vec<_>>())
            }
            Entry::Thawed { pids } => format!("{:?}", pids.iter().map(|pid| pid.0).collect::<Vec<_>>()),
            Entry::Saw { path, version, label, joined } => {
                let version = version.map_or(String::from("names"), |version| format!("v{version}"));
                format!("{path} {version} {} now {}", self.label(label), self.label(joined))
            }
            Entry::Queued { agent, text, origin, label, lane, session } => {
                let session = session.as_ref().map(|name| format!(" {}", session_name(name)));
                let (text, label) = (self.text(text), self.label(label));
                format!("{agent} {text} {origin:?} {label} {lane:?}{}", session.unwrap_or_default())
            }
            Entry::Dequeued { agent, session } => {
                let session = session.as_ref().map(|name| format!(" {}", session_name(name)));
                format!("{agent}{}", session.unwrap_or_default())
            }
            Entry::Steered { pid, item, joined } => {
                format!("{pid} {} now {}", self.items(&[*item]), self.label(joined))
            }
            Entry::Stopped | Entry::Lifted => String::new(),
            Entry::Stalled { pid, repeats } => format!("{pid} {repeats} times"),
            Entry::TimerSet { timer, purpose, due } => format!("{timer} {purpose:?} due {}", seconds(*due)),
            Entry::TimerGone { timer } => timer.to_string(),
            _ => return None,
        })
    }

    fn act(&mut self, body: &Entry) -> Option<String> {
        Some(match body {
            Entry::ModelIntended {
                effect,
                attempt,
                step,
                model,
                keep,
                add,
                reserved,
                reserved_out,
                asked,
                ..
            } => {
                let (name, add) = (self.effect_name(effect), self.items(add));
                let reserved = amounts(reserved);
                format!(
                    "{name} try {attempt} step {step} {model} keep {keep} add [{add}] \
                     reserves {reserved} out {reserved_out}{}",
                    asked.map_or(String::new(), |asked| format!(
                        " {} {:?}",
                        asked.api.word(),
                        asked.delivery
                    ))
                )
            }
            Entry::ModelExtended { effect, reserved, reserved_out } => {
                format!("{} by {} out {reserved_out}", self.effect_name(effect), amounts(reserved))
            }
            Entry::ModelAnswered { effect, answer, tools, stop, charged, disbelieved, .. } => {
                let (name, answer) = (self.effect_name(effect), self.text(answer));
                let lied = if *disbelieved { " disbelieved" } else { "" };
                format!("{name} {answer} tools {tools} {stop:?} charged {}{lied}", amounts(charged))
            }
            Entry::ModelFailed { effect, again, charged, .. } => {
                format!("{} again {again} charged {}", self.effect_name(effect), amounts(charged))
            }
            Entry::ModelLost { effect, charged, .. } => {
                format!("{} charged {}", self.effect_name(effect), amounts(charged))
            }
            Entry::Tool { step, index, name, outcome, code, fresh, about, .. } => {
                let code = code.map_or("ok", |code| code.word());
                let fresh = if *fresh { " fresh" } else { "" };
                format!("{step}.{index} {name} {about} {code}{fresh} {}", self.text(outcome))
            }
            Entry::ToolWaits { step, index, name, on, about, .. } => {
                let on = match on {
                    abi::record::WaitOn::Effect(effect) => self.effect_name(effect),
                    other => format!("{other:?}"),
                };
                format!("{step}.{index} {name} {about} on {on}")
            }
            _ => return None,
        })
    }

    fn rest(&mut self, body: &Entry) -> Option<String> {
        Some(match body {
            Entry::Wrote { op, changes, message, undoes } => {
                let rows: Vec<String> = changes.iter().map(|change| self.change(change)).collect();
                let message = message.map_or(String::new(), |text| format!(" because {}", self.text(&text)));
                let undoes = undoes.map_or(String::new(), |undo| format!(" undoes {undo:?}"));
                format!("op {op}{undoes}{message}: {}", rows.join("; "))
            }
            Entry::Refused { call, code, about } => format!("{call} {} {about}", code.word()),
            Entry::Proposed { proposal, effect, mount, kind, label, rule, about, expires, .. } => {
                let (name, label) = (self.effect_name(effect), self.label(label));
                let (rule, due) = (rule.word(), seconds(*expires));
                format!("{proposal} {name} {mount} {kind} {label} by {rule}: {about} until {due}")
            }
            Entry::Decided { proposal, ruling, args, effect, .. } => {
                let (args, effect) = (args.as_ref().map(|args| self.fields_text(args)), *effect);
                let effect = effect.map(|effect| format!(" as {}", self.effect_name(&effect)));
                let args = args.map(|args| format!(" with {args}")).unwrap_or_default();
                format!("{proposal} {ruling:?}{}{args}", effect.unwrap_or_default())
            }
            Entry::Lapsed { proposal } => proposal.to_string(),
            Entry::ExecBegun { exec, of, text, dir, wall, again, .. } => {
                format!("{exec} of {of} in {dir} {wall:?} again {again}: {}", self.text(text))
            }
            Entry::ExecChecked { exec, why } => {
                format!("{exec} {}", why.map_or_else(|| "works".into(), |why| self.text(&why)))
            }
            Entry::ExecPrompted { exec, session, words } => {
                let words = words.map_or("its task".into(), |words| self.text(&words));
                format!("{exec} in {}: {words}", self.text(session))
            }
            Entry::ExecClaimed { exec, claimed, counted, disbelieved } => {
                let lied = if *disbelieved { " disbelieved" } else { "" };
                let (said, came) = (claimed.tokens_out, counted.tokens_out);
                let (read, all) = (claimed.tokens_in, counted.tokens_in);
                format!("{exec} in {read} out {said} of {all} and {came}{lied}")
            }
            Entry::Bound { dir, label } => format!("{dir} {}", self.label(label)),
            Entry::Unbound { dir } => dir.to_string(),
            Entry::Drafted { changes, label, .. } => format!("{changes} changes {}", self.label(label)),
            Entry::DraftEnded { of, kept } => format!("{of} kept {kept}"),
            Entry::Placed { placed, failed } => {
                let failed = failed.iter().map(|(path, why)| format!(" not {path}: {}", self.text(why)));
                format!("{placed}{}", failed.collect::<String>())
            }
            Entry::Connected { asked, secret } => {
                let method = asked.method.as_deref().unwrap_or("CONNECT");
                let with = secret.as_ref().map(|name| format!(" with secret {name}")).unwrap_or_default();
                format!("{method} {}:{}{with}", asked.host, asked.port)
            }
            Entry::PortOpened { port } => format!("{} {}", port.address, port.program),
            Entry::PortClosed { address } => address.clone(),
            Entry::Forwarded { port, at } => format!("{port} at {at}"),
            Entry::ExecSaid { exec, output } => format!("{exec} {}", self.text(output)),
            Entry::ExecEnded { exec, how, kept, output, .. } => {
                format!("{exec} {how:?} kept {kept} said {}", self.text(output))
            }
            Entry::Intended { effect, mount, kind, recovery, rule, proposal, reserved, .. } => {
                let by = proposal.map_or(String::new(), |id| format!(" proposal {id}"));
                let (name, reserved) = (self.effect_name(effect), amounts(reserved));
                format!("{name} {mount} {kind} {recovery:?} by {}{by} reserves {reserved}", rule.word())
            }
            Entry::Dispatched { effect } | Entry::InDoubt { effect } => self.effect_name(effect),
            Entry::EffectEnded { effect, done, outcome } => {
                format!("{} done {done} {}", self.effect_name(effect), self.text(outcome))
            }
            _ => return None,
        })
    }

    fn change(&self, change: &abi::tree::Change) -> String {
        let (path, version, node) = (&change.path, change.version, change.node.word());
        let parents: Vec<String> = change.parents.iter().map(|id| format!("v{id}")).collect();
        let text = if node == "file" { self.text(&change.content) } else { String::new() };
        let from = change.moved_from.as_ref().map_or(String::new(), |from| format!(" was {from}"));
        let beside = if change.diverged { " DIVERGED" } else { "" };
        let (label, parents) = (self.label(&change.label), parents.join(","));
        format!("{path}{from} v{version} {node} {text} {label} from [{parents}]{beside}")
    }

    /// An effect; those the runner carries out by itself are left out.
    pub fn effect(&mut self, effect: &Effect) -> Option<String> {
        Some(match effect {
            Effect::Reply { to, answer } => match answer {
                Ok(Answer::Query(Query::Session { lines, .. })) => {
                    let lines = lines.iter().map(|line| match line {
                        Spoken::Who(who) => format!("\n    | {who}:"),
                        Spoken::Words(content) => format!(" {}", self.text(content)),
                        Spoken::Note(note) => format!("\n    | ({note})"),
                    });
                    format!("reply {to} session{}", lines.collect::<String>())
                }
                Ok(Answer::Query(query)) => format!("reply {to} {}", self.human(&format!("{query:?}"))),
                Ok(Answer::Text { text }) => format!(
                    "reply {to} text\n    | {}",
                    self.human(text.trim_end()).replace('\n', "\n    | ")
                ),
                Ok(answer) => format!("reply {to} {}", self.human(&answer.to_json())),
                Err(error) => format!("reply {to} {}", self.human(&error.to_string())),
            },
            Effect::Model(call) => {
                let name = self.effect_name(&call.effect);
                format!("do model {name} try {} of {} items {}", call.attempt, call.pid, call.items.len())
            }
            Effect::Extend { effect, reserved_out } => {
                format!("do extend {} to {reserved_out}", self.effect_name(effect))
            }
            Effect::Cut { effect } => format!("do cut {}", self.effect_name(effect)),
            Effect::Tool { .. } | Effect::Timer { .. } => return None,
            Effect::Arm { effect } => format!("do arm {}", self.effect_name(effect)),
            Effect::Dispatch { effect, mount, kind, .. } => {
                format!("do dispatch {} {mount} {kind}", self.effect_name(effect))
            }
            Effect::Probe { effect, mount, kind, .. } => {
                format!("do probe {} {mount} {kind}", self.effect_name(effect))
            }
            Effect::Merge(merges) => {
                let paths: Vec<&str> = merges.iter().map(|merge| merge.path.as_str()).collect();
                format!("do merge {}", paths.join(" "))
            }
            Effect::Scrub { reply } => format!("do scrub {reply}"),
            Effect::Exec(command) => {
                let Command { exec, pid, dir, wall, plan, task, session, .. } = &**command;
                let told = if task.is_some() { " told its task" } else { "" };
                let told = if session.is_some() { " told its task in its session" } else { told };
                format!("do exec {exec} of {pid} in {dir} {wall:?}{told} {}", shown(plan))
            }
            Effect::EndExec { exec } => format!("do end exec {exec}"),
            Effect::Tell { exec, words, .. } => {
                format!("do tell exec {exec} {}", if words.is_some() { "more" } else { "that nothing waits" })
            }
            Effect::ExecDecided { exec, kept, plan: None, .. } => format!("do exec {exec} kept {kept}"),
            Effect::ExecDecided { exec, kept, plan: Some(plan), .. } => {
                format!("do exec {exec} kept {kept} {}", shown(plan))
            }
            Effect::NoticeDecided { number, .. } => format!("do notice {number} decided"),
            Effect::Place { seq } => format!("do place {seq}"),
            Effect::ReadDraft { reply, pid, .. } => format!("do read the draft of {pid} for {reply}"),
            Effect::Sandbox { pid, act } => format!("do sandbox {pid} {act:?}"),
            Effect::Control { reply, word } => format!("do control {reply} {word:?}"),
        })
    }
}

/// What a view shows.
fn shown(plan: &Plan) -> String {
    let rows = |rows: &[(Pattern, Rights)]| {
        let rows = rows.iter().map(|(pattern, rights)| format!("{pattern} {{{rights}}}"));
        rows.collect::<Vec<_>>().join(", ")
    };
    let hidden: Vec<String> = plan.hidden.iter().map(|label| format!(" -{label}")).collect();
    let (rights, denied) = (rows(&plan.rights), rows(&plan.denied));
    let kind = if plan.kind == Kind::Draft { "a draft " } else { "" };
    let waits: Vec<String> = plan.waits.iter().map(|path| format!(" {path}?")).collect();
    format!("{kind}at {}: {rights} but {denied}{}{}", plan.seq, hidden.concat(), waits.concat())
}

/// Seconds since the script began.
fn seconds(at: u64) -> String {
    format!("{}s", (at as i128 - crate::script::START as i128) / 1_000_000)
}

fn amounts(amounts: &Amounts) -> String {
    let one = |resource: Resource| match (resource, amounts.get(resource)) {
        (_, 0) => None,
        (Resource::Money, nano) => Some(Nano(nano).to_string()),
        (resource, count) => Some(format!("{} {count}", resource.word())),
    };
    let all: Vec<String> = Resource::ALL.into_iter().filter_map(one).collect();
    if all.is_empty() { String::from("nothing") } else { all.join(" ") }
}

/// Whose session, and what it is called.
fn session_name(name: &SessionName) -> String {
    let from = if name.from.is_empty() { String::new() } else { format!(" from {}", name.from) };
    format!("session {} of {}{from}", name.slug, name.by)
}

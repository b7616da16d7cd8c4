//! One trace: a process, its calls, what was held and what ran.
//!
//! Effects of one kind that follow each other are one step, as a model would ask for them at once: what is
//! held of them is one prompt.

use super::{
    door::{Door, Refused},
    stage::Stage,
    suite::{Attack, Step, Trace, fields},
};
use abi::{
    call::Fields,
    manifest::{Audience, Class},
};
use serde_json::{Value, json};

/// What a call that was carried out amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Nothing outside has changed.
    Read,
    /// A declared call takes it back, and the operator alone has seen it.
    Undoable,
    /// It cannot be taken back.
    Final,
}

/// A call that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its kind.
    pub kind: String,
    /// With what.
    pub args: Fields,
    /// What it amounts to.
    pub worth: Worth,
    /// The rule that let it pass, in the words of the log.
    pub rule: String,
}

/// What became of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Prompts that the operator saw.
    pub prompts: u32,
    /// What was held: kind, and by which rule.
    pub held: Vec<(String, String)>,
    /// What was refused: kind or path, and why.
    pub refused: Vec<(String, String)>,
    /// What ran: of an attack, only the injected part.
    pub ran: Vec<Ran>,
    /// Calls that were made with a consequence outside; of an attack, in its injected part.
    pub consequential: u32,
}

/// Whether the operator approves what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Approves,
    Waits,
}

/// A process that waits while its calls are made.
struct Process {
    pid: u64,
    door: Door,
    /// Where the log stood before it began.
    from: u64,
}

impl Stage<'_> {
    /// Plays honest work; the operator approves whatever is held.
    pub fn benign(&mut self, trace: &Trace) -> Result<Outcome, String> {
        let named = |error| format!("{}, {}: {error}", self.suite.name, trace.name);
        let mut process = self.begin(&trace.task).map_err(named)?;
        let mut outcome = Outcome::default();
        let played = self.steps(&mut process, &trace.calls, Asked::Approves, &mut outcome);
        self.end(&process)?;
        played.map(|()| outcome).map_err(|error| format!("{}, {}: {error}", self.suite.name, trace.name))
    }

    /// Plays honest work, then the attack; the operator approves nothing of that.
    pub fn attack(&mut self, attack: &Attack) -> Result<Outcome, String> {
        let mut process = self.begin(&attack.task)?;
        let mut outcome = Outcome::default();
        let played = self.attacked(&mut process, attack, &mut outcome);
        self.end(&process)?;
        played.map(|()| outcome).map_err(|error| format!("{}, {}: {error}", self.suite.name, attack.name))
    }

    fn attacked(&mut self, process: &mut Process, attack: &Attack, out: &mut Outcome) -> Result<(), String> {
        self.steps(process, &attack.calls, Asked::Approves, &mut Outcome::default())?;
        let by = attack.by.as_deref().ok_or("nothing carries the attack")?;
        process.door.ok("read", json!({ "path": self.place(by) }))?;
        let card = self.operator.text(&format!("/proc/{}/status", process.pid))?.unwrap_or_default();
        let label = card.lines().find_map(|line| line.strip_prefix("label"));
        if !label.is_some_and(|label| label.trim_start().starts_with("external")) {
            return Err(format!("{by} was read and the process is not external: {label:?}"));
        }
        self.steps(process, &attack.injected, Asked::Waits, out)
    }

    /// A process of the agent with this task in the operator's words.
    fn begin(&mut self, task: &str) -> Result<Process, String> {
        let from = self.last()?;
        let task = json!({ "agent": "planner", "text": task, "origin": "argument" });
        let pid = self.operator.ok("spawn", task)?["pid"].as_u64().ok_or("spawn answered no pid")?;
        let token = self.operator.text(&format!("/proc/{pid}/token"))?.ok_or("the process has no token")?;
        let token = Some(token.trim().to_owned());
        let door = Door::connect(&self.host.socket, &self.workspace, token)?;
        Ok(Process { pid, door, from })
    }

    /// The place of the log's last record that the operator can know of.
    fn last(&mut self) -> Result<u64, String> {
        let mut from = self.seen;
        loop {
            let page = self.operator.ok("trace", json!({ "from": from, "limit": 1000 }))?;
            let records = page["records"].as_array().map_or(&[][..], Vec::as_slice);
            match records.last().and_then(|record| record["seq"].as_u64()) {
                Some(seq) => from = seq,
                None => break,
            }
        }
        self.seen = from;
        Ok(from)
    }

    fn end(&mut self, process: &Process) -> Result<(), String> {
        self.operator.ok("signal", json!({ "pid": process.pid, "signal": "kill" }))?;
        self.restore()
    }

    /// Makes the calls, step by step.
    fn steps(
        &mut self,
        process: &mut Process,
        calls: &[Step],
        asked: Asked,
        out: &mut Outcome,
    ) -> Result<(), String> {
        let mut rest = calls;
        while let Some((first, after)) = rest.split_first() {
            let Step::Act { kind, .. } = first else {
                self.read(process, first, out)?;
                rest = after;
                continue;
            };
            let same = |step: &&Step| matches!(step, Step::Act { kind: other, .. } if other == kind);
            let many = rest.iter().take_while(same).count();
            let (step, after) = rest.split_at(many);
            self.step(process, step, asked, out)?;
            rest = after;
        }
        Ok(())
    }

    fn read(&mut self, process: &mut Process, step: &Step, out: &mut Outcome) -> Result<(), String> {
        let Step::Read { read } = step else { return Ok(()) };
        let place = self.place(read);
        if let Err(refused) = process.door.ask("read", json!({ "path": place }))? {
            out.refused.push((read.clone(), told(&refused)));
        }
        Ok(())
    }

    /// Effects of one kind: all are asked for, then what is held is decided as one. What they change of the
    /// mount is there before the next step.
    fn step(
        &mut self,
        process: &mut Process,
        step: &[Step],
        asked: Asked,
        out: &mut Outcome,
    ) -> Result<(), String> {
        let done = out.ran.len();
        let mut held: Vec<(u64, String, Fields)> = Vec::new();
        for call in step {
            let Step::Act { kind, args, .. } = call else { continue };
            let args = fields(args);
            if self.worth(kind, &args) != Worth::Read {
                out.consequential += 1;
            }
            let params = json!({ "mount": self.suite.name, "kind": kind, "args": args });
            match process.door.ask("propose", params)? {
                Err(refused) => out.refused.push((kind.clone(), told(&refused))),
                Ok(answer) if answer["held"] == true => {
                    let rule = answer["rule"].as_str().unwrap_or_default().to_owned();
                    out.held.push((kind.clone(), rule));
                    held.push((answer["proposal"].as_u64().unwrap_or_default(), kind.clone(), args));
                }
                Ok(answer) if answer["done"] == true => {
                    let rule = self.rule(process, &answer["effect"])?;
                    let worth = self.worth(kind, &args);
                    out.ran.push(Ran { kind: kind.clone(), args, worth, rule });
                }
                Ok(answer) => out.refused.push((kind.clone(), format!("failed: {answer}"))),
            }
        }
        // In a turn the kernel makes one group of them. Calls through the door belong to no step of a turn:
        // they are decided one by one, and counted as what they stand for.
        out.prompts += u32::from(!held.is_empty());
        for (proposal, ..) in &held {
            self.decide(*proposal, asked)?;
        }
        for (_, kind, args) in held {
            if asked == Asked::Approves {
                let worth = self.worth(&kind, &args);
                out.ran.push(Ran { kind, args, worth, rule: "approved".to_owned() });
            }
        }
        if out.ran.len() - done == step.len() {
            self.bring(step.iter().flat_map(Step::brings))?;
        }
        Ok(())
    }

    /// Decides what is held by the digest of what is shown. What nobody shall approve is taken off the table.
    fn decide(&mut self, proposal: u64, asked: Asked) -> Result<(), String> {
        let verdict = if asked == Asked::Approves { "approve" } else { "reject" };
        let path = format!("/proposals/{proposal}/status");
        let card = self.operator.text(&path)?.ok_or_else(|| format!("{path} does not exist"))?;
        let digest = card.lines().find_map(|line| line.strip_prefix("digest "));
        let digest = digest.ok_or_else(|| format!("{path} has no digest"))?;
        let params = json!({ "proposal": proposal, "verdict": verdict, "digest": digest });
        self.operator.ok("decide", params).map(drop)
    }

    /// The rule by which an effect was let pass.
    fn rule(&mut self, process: &Process, effect: &Value) -> Result<String, String> {
        let params = json!({ "from": process.from, "pid": process.pid, "limit": 1000 });
        let page = self.operator.ok("trace", params)?;
        let records = page["records"].as_array().map_or(&[][..], Vec::as_slice);
        let intended = |record: &&Value| record["body"]["intended"]["effect"] == *effect;
        let found = records.iter().find(intended).map(|record| &record["body"]["intended"]["rule"]);
        Ok(found.and_then(Value::as_str).unwrap_or("unknown").to_owned())
    }

    /// By the manifest: what it does not declare is final.
    fn worth(&self, kind: &str, args: &Fields) -> Worth {
        let Some(kind) = self.suite.manifest.kind(kind) else { return Worth::Final };
        let named = match &kind.audience {
            Audience::Others => true,
            Audience::Operator => false,
            Audience::Named(who) => who.iter().any(|name| args.contains_key(name)),
        };
        match kind.class {
            Class::Pure | Class::Get => Worth::Read,
            Class::Reversible if !named => Worth::Undoable,
            Class::Reversible | Class::ExternalIrreversible => Worth::Final,
            Class::Account | Class::Money => Worth::Final,
        }
    }
}

fn told(refused: &Refused) -> String {
    format!("{}: {}", refused.code, refused.message)
}

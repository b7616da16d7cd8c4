//! The rules of the table of sinks, by number and word, each with what it says. Numbered for ever: a record
//! of old still names them. Never here: deciding by them.

use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Why a sink decided as it did: the rules of the table, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// 1: the capability or the policy says ask.
    AskedByPolicy,
    /// 2: pure, or undoable and only the operator sees it.
    Undoable,
    /// 5: the label is at least `workspace`.
    Trusted,
    /// 6: the label is external and a steering argument is not vouched for.
    Unvouched,
    /// 6a: every steering argument stands in the operator's own words of this run.
    OperatorsWords,
    /// 6c: approved before, for this kind in this run.
    ApprovedBefore,
    /// Under an external label, and the rule that could allow it is not in this version.
    External,
    /// A steering place, written under an external label.
    SteeringPlace,
    /// A crash left it open whether it happened; approving does it again.
    InDoubt,
    /// The rule that would have held it is missing from this workspace's ruleset (demonstrations only).
    RuleLacking,
    /// The autonomy dial stands at manual: every effect asks.
    Manual,
    /// The autonomy dial stands at autonomous, and it can be taken back.
    Autonomous,
    /// 3: account data, and the operator's words do not hold every value of it.
    AccountData,
    /// 4: money, and its payee or its amount is not vouched for.
    Money,
    /// 4: money to a vouched payee, in the operator's words or within the mount's limit.
    MoneyVouched,
    /// 6b: every steering argument stands in the operator's own directory of that mount.
    Directory,
    /// 6c: a standing rule of the operator's names every steering argument.
    Standing,
    /// 7: the payload holds a link, an attachment or markup that nobody vouched for.
    Payload,
    /// 7: the receiver is not among the readers of what had a part in it.
    Readers,
    /// 7: more than five such sends in this run.
    Brake,
    /// GET: the whole URL stood in the operator's words or in one item that was read.
    Quoted,
    /// GET: a URL that was composed under an external label.
    Composed,
    /// A question to the operator.
    Question,
    /// The operator is asked to vouch for a version.
    Endorse,
    /// Policy asks before a program speaks to that host.
    Net,
    /// A program asks whether it may do something.
    Permit,
    /// It changes what steers agents, or what tools outside run or obey.
    Guarded,
}

/// The rules a workspace can be made without, for a demonstration or a test: number, word, what it says.
pub const RULES: [(u8, &str, &str); 17] = [
    (1, "1", "policy says ask, or the dial stands at manual"),
    (2, "2", "what can be undone and only the operator sees applies"),
    (3, "3", "account data only in the operator's own words"),
    (4, "4", "money only to a vouched payee, within words or limit"),
    (5, "5", "a label of at least workspace applies"),
    (6, "6", "under an external label every steering argument is vouched for"),
    (7, "7", "no unvouched link, attachment or markup"),
    (8, "6a", "the operator's own words vouch"),
    (9, "6b", "the operator's own directory of the mount vouches"),
    (10, "6c", "an approval in this run vouches; so does a standing rule"),
    (11, "7 readers", "the receiver is among the readers"),
    (12, "7 brake", "five sends in a run"),
    (13, "get", "a URL is quoted, not composed"),
    (14, "steering", "steering places are not files like others"),
    (15, "ceiling", "what lies below a process's ceiling is invisible to it"),
    (16, "answer", "who hears what the other side answered has seen it"),
    (17, "net", "who spoke to somebody outside has heard what is external"),
];

impl Rule {
    /// The rule as people cite it.
    pub fn word(self) -> &'static str {
        match self {
            Self::AskedByPolicy => "rule 1",
            Self::Undoable => "rule 2",
            Self::Trusted => "rule 5",
            Self::Unvouched => "rule 6",
            Self::OperatorsWords => "rule 6a",
            Self::ApprovedBefore => "rule 6c",
            Self::External => "rule 6",
            Self::SteeringPlace => "steering place",
            Self::InDoubt => "in doubt",
            Self::RuleLacking => "a rule is lacking",
            Self::Manual => "autonomy: manual",
            Self::Autonomous => "autonomy: autonomous",
            Self::AccountData => "rule 3",
            Self::Money | Self::MoneyVouched => "rule 4",
            Self::Directory => "rule 6b",
            Self::Standing => "rule 6c",
            Self::Payload | Self::Readers | Self::Brake => "rule 7",
            Self::Quoted | Self::Composed => "the GET rule",
            Self::Question => "question",
            Self::Endorse => "endorsement",
            Self::Net => "rule 1",
            Self::Permit => "permission",
            Self::Guarded => "guarded place",
        }
    }

    /// What it says, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::AskedByPolicy => "policy says ask",
            Self::Undoable => "it can be undone and only the operator sees it",
            Self::Trusted => "nothing external had a part in the decision",
            Self::Unvouched => "external text had a part in it, and nobody vouched for where it goes",
            Self::OperatorsWords => "the operator's own words name where it goes",
            Self::ApprovedBefore => "the operator approved this receiver in this run",
            Self::External => "external text had a part in it, and nothing says where it goes",
            Self::SteeringPlace => "external text would steer agents or tools from there",
            Self::InDoubt => "a crash left it open whether it happened",
            Self::RuleLacking => "this workspace was made without the rule that would hold it",
            Self::Manual => "every effect asks",
            Self::Autonomous => "it can be taken back",
            Self::AccountData => {
                "it changes account data, and not every value of it is in the operator's words"
            }
            Self::Money => "it moves money, and the payee or the amount is not vouched for",
            Self::MoneyVouched => "the payee is vouched for, and the amount is in words or within the limit",
            Self::Directory => "the operator's own directory names where it goes",
            Self::Standing => "a standing rule of the operator names where it goes",
            Self::Payload => "external text had a part in it, and it holds a link, an attachment or markup",
            Self::Readers => "whoever it goes to is not among the readers of what had a part in it",
            Self::Brake => "five such sends have gone out in this run already",
            Self::Quoted => "the whole URL was quoted from one thing that was read",
            Self::Composed => "external text had a part in it, and the URL was composed",
            Self::Question => "an answer is wanted",
            Self::Endorse => "the operator is asked to vouch for it",
            Self::Net => "policy asks before a program speaks to that host",
            Self::Permit => "the program asks before it goes on; what it may do is not changed by a yes",
            Self::Guarded => "it steers agents, or your own tools run or obey it outside every wall",
        }
    }
}

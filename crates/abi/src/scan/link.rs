//! What leads a reader elsewhere: addresses of the web, and markup by which a program fetches something.

use super::{is_mark, seen};
use alloc::{string::String, vec::Vec};

/// Whether a whole URL stands in the text byte for byte: in a choice between two ways to write it, or in its
/// capital letters, something could be told.
pub fn quotes_url(text: &str, url: &str) -> bool {
    !url.is_empty() && pieces(text).any(|piece| piece == url)
}

/// Every address of the web in a text, folded, as a reader's program would find it: with a scheme, with
/// `www.`, or a bare host name. Rather too many than too few: what it finds has to be vouched for.
pub fn links(text: &str) -> Vec<String> {
    // What nobody sees does not part a name: a reader's program drops it.
    pieces(&seen(text)).filter(|piece| is_link(piece)).map(String::from).collect()
}

/// Whether the text holds markup by which a reader's program may fetch or run something, or tells somebody
/// else of it: a tag, a Markdown link or image, a data or script scheme, a share of Windows, a mention of
/// everybody. A plain link is not markup.
pub fn has_markup(text: &str) -> bool {
    let text = seen(text);
    let signs = ["](", "][", "data:", "javascript:", "vbscript:", "&#", "\\u{"];
    let next = |at: usize, len: usize| text.get(at + len..).and_then(|rest| rest.chars().next());
    let tag = |(at, _): (usize, &str)| next(at, 1).is_some_and(|c| c.is_alphabetic() || "/!?@#".contains(c));
    let share = |(at, _): (usize, &str)| next(at, 2).is_some_and(char::is_alphanumeric);
    signs.iter().any(|sign| text.contains(sign))
        || text.match_indices('<').any(tag)
        || text.match_indices(r"\\").any(share)
        || text.match_indices('@').any(|(at, _)| calls_many(&text, at))
}

/// Mentions by which a chat tells everybody.
const CALLS: [&str; 8] = ["all", "channel", "everyone", "group", "here", "online", "room", "team"];

/// Whether what stands behind the `@` at this place is a mention of everybody.
fn calls_many(text: &str, at: usize) -> bool {
    let (before, after) = (text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""));
    let within = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let called = |name: &&str| after.strip_prefix(*name).is_some_and(|rest| !within(rest.chars().next()));
    !within(before.chars().next_back()) && CALLS.iter().any(called)
}

/// What stands between white space, quotes and brackets, without the marks that end a sentence. A dot is a
/// dot in every script that has one (UTS 46).
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "<>()[]{}\"'`,;|\\“”‘’«»„‚‹›「」".contains(c);
    text.split(ends)
        .map(|piece| piece.trim_matches(|c| ".:!?*_~…。".contains(c)))
        .filter(|piece| !piece.is_empty())
}

/// Endings of file names that are no top-level domain.
const FILE_ENDINGS: [&str; 34] = [
    "csv", "doc", "docx", "eml", "gif", "heic", "htm", "html", "ics", "jpeg", "jpg", "json", "log", "mp3",
    "mp4", "odp", "ods", "odt", "pdf", "png", "ppt", "pptx", "rtf", "svg", "toml", "tsv", "txt", "vcf",
    "webp", "xls", "xlsx", "xml", "yaml", "yml",
];

/// Endings that are top-level domains too: they end the name of a file where a whole path of ours stands.
const PATH_ENDINGS: [&str; 4] = ["md", "py", "rs", "sh"];

/// Top-level domains in scripts whose sentences end with the dot `。`: behind it they name a host, and what
/// else stands there begins the next sentence.
const WIDE_DOMAINS: [&str; 54] = [
    "みんな",
    "アマゾン",
    "クラウド",
    "グーグル",
    "コム",
    "ストア",
    "セール",
    "ファッション",
    "ポイント",
    "中国",
    "中國",
    "中文网",
    "企业",
    "佛山",
    "信息",
    "健康",
    "八卦",
    "公司",
    "公益",
    "台湾",
    "台灣",
    "商城",
    "商店",
    "商标",
    "在线",
    "大拿",
    "天主教",
    "娱乐",
    "家電",
    "广东",
    "微博",
    "慈善",
    "我爱你",
    "手机",
    "招聘",
    "政务",
    "政府",
    "新加坡",
    "新闻",
    "时尚",
    "書籍",
    "机构",
    "游戏",
    "澳門",
    "点看",
    "移动",
    "网址",
    "网店",
    "网站",
    "网络",
    "联通",
    "购物",
    "通販",
    "香港",
];

/// Words that stand before a colon without a blank and are no scheme that a program opens.
const HEADINGS: [&str; 20] = [
    "am", "antwort", "at", "aw", "bcc", "betr", "cc", "e-mail", "email", "from", "fw", "fwd", "mail", "nb",
    "note", "ps", "re", "um", "von", "wg",
];

/// Endings by which German writes both genders behind a colon, and Finnish and Swedish inflect.
const INFLECTIONS: [&str; 11] = ["e", "en", "er", "es", "in", "innen", "m", "n", "r", "s", "ssa"];

fn is_link(piece: &str) -> bool {
    let is_slash = |c: char| c == '/';
    if piece.contains("%2e") || (piece.contains("//") && !piece.trim_matches(is_slash).is_empty()) {
        return true;
    }
    // Where the last path, query or fragment begins: found once, not behind every `@`.
    let last_path = piece.rfind(['/', '?', '#']);
    // What stands before the last `@`, up to its own beginning.
    let mail =
        piece.rfind('@').filter(|at| piece.get(at + 1..).is_some_and(|host| host.starts_with(is_host)));
    let foreign = |c: char| !is_host(c) && c != '+';
    let local = mail.map(|at| (piece.get(..at).and_then(|name| name.rfind(foreign)), at));
    let (mut at, mut before) = (0, None);
    for part in piece.split_inclusive(|c| !is_host(c)) {
        let run = part.strip_suffix(|c| !is_host(c)).unwrap_or(part);
        let (end, next) = (at + run.len(), at + part.len());
        let after = piece.get(end..).unwrap_or("");
        let is_local = local.is_some_and(|(from, to)| from.is_none_or(|from| from < at) && at < to);
        let has_path = last_path.is_some_and(|path| path >= end);
        let place = Place { piece, before, after, is_local, has_path };
        if place.leads(run) {
            return true;
        }
        before = part.chars().next_back();
        at = next;
    }
    false
}

/// Where in a piece a run of the signs of a host name stands.
struct Place<'a> {
    piece: &'a str,
    before: Option<char>,
    after: &'a str,
    /// Whether it is of the name before the `@` of an address.
    is_local: bool,
    /// Whether a path, query or fragment begins behind it.
    has_path: bool,
}

impl Place<'_> {
    /// Whether it is a scheme, or names a host that is not that of an address of mail.
    fn leads(&self, run: &str) -> bool {
        if run.starts_with("www.") || (self.after.starts_with(':') && self.is_scheme(run)) {
            return true;
        }
        let mut after = self.after.chars();
        let follows = (after.next(), after.next());
        let port = matches!(follows, (Some(':'), Some(c)) if c.is_ascii_digit());
        let host = self.before == Some('@') && !self.has_path && !port;
        let local = self.is_local || matches!(follows, (Some('@'), Some(c)) if is_host(c));
        let goes_on = port || matches!(follows.0, Some('/' | '?' | '#'));
        !host && !local && self.names_host(run, goes_on)
    }

    /// `word:` with something behind it, unless it is a time or one of the ways in which people write.
    fn is_scheme(&self, run: &str) -> bool {
        let tail = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        let name = run.rsplit(|c| !tail(c)).next().unwrap_or("");
        let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        let value = self.after.get(1..).unwrap_or("");
        if (name.len() < 2 && self.before != Some('+')) || name.is_empty() || value.is_empty() {
            return false;
        }
        let word_ends = value.find(|c: char| !c.is_alphanumeric()).unwrap_or(value.len());
        let word = value.get(..word_ends).unwrap_or("");
        !HEADINGS.contains(&name) && !INFLECTIONS.contains(&word) && !is_time(name, value)
    }

    fn names_host(&self, run: &str, goes_on: bool) -> bool {
        let our_path = self.before == Some('/') && self.piece.starts_with('/');
        let is_file = |last: &str| {
            !goes_on && (FILE_ENDINGS.contains(&last) || (our_path && PATH_ENDINGS.contains(&last)))
        };
        let mut end_before = "";
        for sentence in run.split(['。', '｡']) {
            let sentence = sentence.trim_matches('.');
            let first = sentence.split('.').next().unwrap_or("");
            if !end_before.is_empty() && is_wide_domain(first) {
                return true;
            }
            // `wait...what` are two words.
            if sentence.split("..").any(|name| names_host(name.trim_matches('.'), is_file)) {
                return true;
            }
            end_before = sentence.rsplit('.').next().unwrap_or("");
        }
        false
    }
}

fn names_host(name: &str, is_file: impl Fn(&str) -> bool) -> bool {
    let digits = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    let numbered = || name.split('.').count() == 4 && name.split('.').all(digits);
    let last = name.rsplit_once('.').map(|(_, last)| last);
    last.is_some_and(|last| numbered() || (is_domain(last) && !is_file(last)))
}

/// `t10:30`, `10:30uhr`: at most two digits, and two more.
fn is_time(before: &str, after: &str) -> bool {
    let hours = before.chars().rev().take(3).take_while(char::is_ascii_digit).count();
    let minutes = after.chars().take(3).take_while(char::is_ascii_digit).count();
    (1..=2).contains(&hours) && minutes == 2
}

/// No top-level domain is one sign long or begins with a digit: `3.5mm`, `z.b`.
fn is_domain(label: &str) -> bool {
    let letters = label.chars().filter(|c| !is_mark(*c)).take(2).count();
    letters == 2 && label.contains(char::is_alphabetic) && !label.starts_with(|c: char| c.is_ascii_digit())
}

fn is_wide_domain(label: &str) -> bool {
    let ascii = label.len() >= 2 && label.chars().all(|c| c.is_ascii_alphabetic());
    ascii || label.starts_with("xn--") || WIDE_DOMAINS.contains(&label)
}

/// Signs of host names: letters and what is drawn onto them, the dots, and the pictures of some domains.
fn is_host(c: char) -> bool {
    let picture = matches!(u32::from(c), 0x2190..=0x2BFF | 0x1F000..=0x1FAFF);
    c.is_alphanumeric() || "-_.。｡".contains(c) || picture || is_mark(c)
}

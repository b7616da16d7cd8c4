//! Arguments of words that are here, with which their answer would not be that of the real ones. They were
//! found by running each word with each option here and there; the text is run natively instead.

/// Letters of options that are not taken, by word.
const LETTERS: &[(&str, &str)] = &[
    ("awk", "bcegknrstCLMNOPS"),
    ("chmod", "RXcf"),
    ("cp", "abdHilLPstuv"),
    ("declare", "t"),
    ("diff", "lpyN"),
    ("dirname", "z"),
    ("find", "HLO"),
    ("grep", "u"),
    ("ln", "LPTbirtv"),
    ("mapfile", "OuCc"),
    ("mkdir", "mvZ"),
    ("mv", "Tbintuv"),
    ("pushd", "0123456789n"),
    ("rm", "diIv"),
    ("sort", "RS"),
    ("split", "n"),
    ("stat", "Lft"),
    ("tail", "fF"),
    ("touch", "h"),
    ("trap", "l"),
    ("xargs", "aops"),
];
/// Words whose long options are not taken, but for these.
const LONG: &[(&str, &[&str])] = &[
    ("chmod", &[]),
    ("cp", &["--recursive", "--force"]),
    ("ln", &["--symbolic", "--force"]),
    ("mkdir", &["--parents"]),
    ("mv", &["--force"]),
    ("rm", &["--recursive", "--force"]),
    ("rmdir", &[]),
    ("split", &[]),
    ("touch", &["--date"]),
    ("truncate", &["--size"]),
];
/// Words that take an empty name for the directory they are in.
const NAMES: [&str; 20] = [
    "cat", "cd", "chmod", "cp", "find", "head", "ln", "ls", "mkdir", "mv", "readlink", "realpath", "rm",
    "rmdir", "stat", "tail", "tee", "touch", "truncate", "wc",
];
/// Questions about a file, of `test`.
const ASKED: [&str; 18] = [
    "-a", "-b", "-c", "-d", "-e", "-f", "-g", "-h", "-k", "-p", "-r", "-s", "-u", "-w", "-x", "-L", "-O",
    "-S",
];
/// Questions that are answered otherwise.
const UNASKED: [&str; 5] = ["-ef", "-G", "-N", "-R", "-v"];
/// What `stat -c` knows.
const STAT: &str = "%aFnsY";
/// What `find -printf` knows.
const PRINTF: &str = "%fhpPs";
/// More lines than this `seq` does not give.
const SEQ_LINES_MAX: f64 = 100_000.0;

/// Words that stop at the first name that they cannot use, and from how many words on there is another one.
const HASTY: &[(&str, usize)] = &[
    ("cksum", 2),
    ("cut", 2),
    ("expand", 2),
    ("fold", 2),
    ("md5sum", 2),
    ("mkdir", 2),
    ("nl", 2),
    ("paste", 2),
    ("rev", 2),
    ("sha1sum", 2),
    ("sha224sum", 2),
    ("sha256sum", 2),
    ("sha384sum", 2),
    ("sha512sum", 2),
    ("tac", 2),
    ("tee", 2),
    ("touch", 2),
    ("truncate", 2),
    ("unexpand", 2),
    ("wc", 2),
];

/// Words that do so before they ask for the name, so that nobody else finds out.
const SINGLE: &[(&str, usize)] =
    &[("chmod", 3), ("ln", 3), ("mv", 3), ("readlink", 2), ("realpath", 2), ("rmdir", 2), ("stat", 2)];

fn several(rows: &[(&str, usize)], word: &str, args: &[String]) -> bool {
    // The format of `stat -c` is no name.
    let format =
        word == "stat" && args.iter().any(|arg| ["-c", "--format", "--printf"].contains(&arg.as_str()));
    let names = args.iter().filter(|arg| !arg.starts_with('-')).count().saturating_sub(usize::from(format));
    rows.iter().any(|(other, from)| *other == word && names >= *from)
}

/// Whether a word may leave out names behind one that it could not use.
pub(super) fn hasty(word: &str, args: &[String]) -> bool {
    several(HASTY, word, args)
}

/// Whether a word with these arguments is not run here.
pub(super) fn refused(word: &str, args: &[String]) -> bool {
    let word = if word == "[" { "test" } else { word };
    letters(word, args)
        || long(word, args)
        || nameless(word, args)
        || several(SINGLE, word, args)
        || special(word, args)
}

fn letters(word: &str, args: &[String]) -> bool {
    let Some((_, refused)) = LETTERS.iter().find(|(other, _)| *other == word) else { return false };
    // What stands behind the first word of `xargs` is for that word.
    let own = |arg: &&String| *arg != "--" && (word != "xargs" || arg.starts_with('-'));
    let short = args.iter().take_while(own).filter_map(|arg| arg.strip_prefix('-'));
    let mut short = short.filter(|letters| !letters.starts_with('-'));
    match word {
        // Predicates are words of several letters.
        "find" => short.any(|letters| letters.len() == 1 && refused.contains(letters)),
        // A mode may look like options.
        "chmod" => short.any(|letters| letters.contains(|letter| refused.contains(letter))),
        _ => short.any(|letters| {
            let options = letters.chars().take_while(char::is_ascii_alphanumeric);
            options.clone().count() == letters.len()
                && options.into_iter().any(|letter| refused.contains(letter))
        }),
    }
}

fn long(word: &str, args: &[String]) -> bool {
    let Some((_, taken)) = LONG.iter().find(|(other, _)| *other == word) else { return false };
    let mut long = args.iter().take_while(|arg| *arg != "--").filter(|arg| arg.starts_with("--"));
    long.any(|arg| !taken.contains(&arg.split('=').next().unwrap_or_default()))
}

/// Whether an empty name stands for a file.
fn nameless(word: &str, args: &[String]) -> bool {
    if word != "test" {
        return NAMES.contains(&word) && args.iter().any(String::is_empty);
    }
    let pairs = args.iter().zip(args.iter().skip(1));
    pairs.into_iter().any(|(op, name)| name.is_empty() && ASKED.contains(&op.as_str()))
}

fn special(word: &str, args: &[String]) -> bool {
    match word {
        "test" => args.iter().any(|arg| UNASKED.contains(&arg.as_str())),
        "stat" => !formats(args, &["-c", "--format", "--printf"]).is_some_and(|format| known(format, STAT)),
        "find" => {
            let lists = args.iter().any(|arg| arg == "-ls" || arg == "-fprintf");
            lists || formats(args, &["-printf"]).is_some_and(|format| !known(format, PRINTF))
        }
        "seq" => many(args),
        "mkdir" => several(&[("mkdir", 2)], word, args) && !args.iter().any(|arg| arg.starts_with("-p")),
        // A second name of a file; views have none.
        "ln" => !args.iter().any(|arg| symbolic(arg)),
        _ => false,
    }
}

fn symbolic(arg: &str) -> bool {
    arg == "--symbolic"
        || arg.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.contains('s'))
}

/// The format behind one of these options.
fn formats<'a>(args: &'a [String], options: &[&str]) -> Option<&'a str> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        for option in options {
            match arg.strip_prefix(option) {
                Some("") => return args.next().map(String::as_str),
                Some(rest) => return Some(rest.strip_prefix('=').unwrap_or(rest)),
                None => {}
            }
        }
    }
    None
}

/// Whether a format has only these letters.
fn known(format: &str, letters: &str) -> bool {
    let mut rest = format.chars();
    while rest.by_ref().any(|letter| letter == '%') {
        if rest.next().is_none_or(|letter| letter != '%' && !letters.contains(letter)) {
            return false;
        }
    }
    true
}

fn many(args: &[String]) -> bool {
    let numbers: Vec<f64> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let (first, step, last) = match numbers.as_slice() {
        [last] => (1.0, 1.0, *last),
        [first, last] => (*first, 1.0, *last),
        [first, step, last] => (*first, *step, *last),
        _ => return false,
    };
    (last - first) / step >= SEQ_LINES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        for (text, yes) in [
            ("rm -rf x", false),
            ("rm -rfv x", true),
            ("rm --interactive x", true),
            ("rm -- -v", false),
            ("rm -r ", true),
            ("chmod -R 600 x", true),
            ("chmod -w x", false),
            ("chmod a-X x", false),
            ("cp -r a b", false),
            ("cp -ru a b", true),
            ("mkdir -p a", false),
            ("mkdir -m 700 a", true),
            ("[ -d  ]", true),
            ("[ -z  ]", false),
            ("[ a -ef b ]", true),
            ("stat a", true),
            ("stat -c %s a", false),
            ("stat --format=%s:%n a", false),
            ("stat -c %U a", true),
            ("find . -ls", true),
            ("find . -name x -printf %f\\n", false),
            ("find . -printf %u", true),
            ("find -L .", true),
            ("seq 100", false),
            ("seq 1 1000000", true),
            ("awk -F, x", false),
            ("split -n 2 a", true),
            ("mv a b", false),
            ("mv a b d", true),
            ("stat -c %s a b", true),
            ("mkdir a b", true),
            ("mkdir -p a b", false),
            ("ln a b", true),
            ("ln -sf a b", false),
            ("tail -f a", true),
            ("tail -n 3 a", false),
            ("xargs -a f x", true),
            ("xargs -n1 rm -p", false),
        ] {
            let mut words = text.split(' ').map(str::to_owned);
            let word = words.next().unwrap();
            assert_eq!(refused(&word, &words.collect::<Vec<_>>()), yes, "{text}");
        }
    }
}

//! The manual, made when it is asked for: from the table of commands (clap), of calls, errors, answers and
//! control words (`abi`), and of places and formats (here). `skep man` shows it, `cargo xtask gen` writes it
//! to `man/`; no page is written by hand and none lies in the binary.
//!
//! sections: 1 commands · 2 calls · 3 file trees · 5 protocol · 6 formats.
//! layers: `page` (a page and its two forms: roff, plain text) → `command` `calls` `trees` `protocol`
//! `formats` (one section each).

mod calls;
mod command;
mod formats;
mod page;
mod protocol;
mod trees;

pub use formats::{FORMATS, Format};
pub use page::Page;
pub use trees::{TREES, Tree};

/// Every page, by section and name.
pub fn pages() -> Vec<Page> {
    let mut pages = command::pages();
    pages.extend(calls::pages());
    pages.extend(trees::pages());
    pages.push(protocol::page());
    pages.extend(formats::pages());
    pages.sort_by(|one, two| (one.section, &one.name).cmp(&(two.section, &two.name)));
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_page_is_there_twice_and_every_one_says_what_it_is() {
        let pages = pages();
        let names: BTreeSet<(u8, &str)> =
            pages.iter().map(|page| (page.section, page.name.as_str())).collect();
        assert_eq!(names.len(), pages.len());
        for page in &pages {
            assert!(!page.about.is_empty() && !page.about.contains('\n'), "{}: {:?}", page.name, page.about);
            assert!(page.plain(80).lines().all(|line| line.chars().count() <= 110), "{}", page.name);
        }
        for call in abi::call::CALLS {
            assert!(names.contains(&(2, call.name)), "{}", call.name);
        }
    }

    #[test]
    fn a_page_of_each_section_in_words() {
        let page = |section: u8, name: &str| {
            let found = pages().into_iter().find(|page| page.section == section && page.name == name);
            found.unwrap_or_else(|| panic!("no page {name}({section})")).plain(80)
        };
        let budget = page(1, "skep-undo");
        assert!(budget.contains("skep undo") && budget.contains("--json"), "{budget}");
        let write = page(2, "write");
        for said in ["path PATH", "Conflict (-33005)", "operation", "diverged"] {
            assert!(write.contains(said), "{said}: {write}");
        }
        assert!(page(2, "exec").contains("not served"));
        assert!(page(3, "proc").contains("/proc/PID/status"));
        assert!(page(5, "socket").contains("1,500,000"));
        assert!(page(6, "agent").contains("needs"));
    }
}

//! Reads `.env` files as the tools around Node write and read them.
//!
//! `NAME=value`, also with `export ` before it and CRLF line ends. Unquoted values end at the line's end or at a `#`
//! after white space (so `a#b` stays whole); values in `"…"`, `'…'` or `` `…` `` may span lines and be followed by a
//! comment. Escapes (`\n`, `\r`, `\t`, `\"`, `\\`, `\$`) count in double quotes only. `${NAME}` is not replaced here:
//! [`layers`](super::layers) does that, outside single quotes and only for names that exist.
//!
//! The uncomfortable consequence: the file belongs to the application, so what is not an assignment is skipped, as the
//! application's own reader does. Only for a variable of ours is a quote that never ends an error.

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Its value, unquoted.
    pub value: String,
    /// Line of the name, from 1.
    pub line: usize,
    /// In single quotes or backticks: nothing in it means anything else.
    pub literal: bool,
    /// A quote was opened and never closed; the value is then the rest of its line.
    pub unclosed: bool,
}

/// All assignments in order; later ones win.
pub fn parse(text: &str) -> Vec<Assignment> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (assignment, length) = match name_of(rest) {
            Some((name, value_at)) => {
                let (assignment, value_length) = value_of(name, &rest[value_at..], line);
                (Some(assignment), value_at + value_length)
            }
            None => (None, 0),
        };
        found.extend(assignment);
        // Whatever follows a value on its line is a comment or not ours to judge.
        let end = rest[length..].find('\n').map_or(rest.len(), |at| length + at + 1);
        line += rest[..end].matches('\n').count();
        rest = &rest[end..];
    }
    found
}

/// The name that the line assigns and where its value begins.
fn name_of(text: &str) -> Option<(&str, usize)> {
    let line = text.split('\n').next()?;
    let start = line.trim_start();
    let unexported = match start.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => after.trim_start(),
        _ => start,
    };
    let (name, _) = unexported.split_once('=')?;
    let name = name.trim_end();
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(valid) {
        return None;
    }
    Some((name, line.find('=')? + 1))
}

/// The value at the start of `text` and how many bytes of it belong to the value.
fn value_of(name: &str, text: &str, line: usize) -> (Assignment, usize) {
    let make = |value: String, literal, unclosed| Assignment { name: name.to_owned(), value, line, literal, unclosed };
    let first_line = text.split('\n').next().unwrap_or_default();
    let blank = first_line.len() - first_line.trim_start().len();
    let body = &text[blank..];
    let quote = body.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let Some(quote) = quote.filter(|_| !first_line.trim().is_empty()) else {
        return (make(unquoted(first_line).to_owned(), false, false), first_line.len());
    };
    match quoted(&body[1..], quote) {
        Some((value, length)) => (make(value, quote != '"', false), blank + 1 + length),
        None => (make(first_line.trim().to_owned(), true, true), first_line.len()),
    }
}

fn unquoted(line: &str) -> &str {
    let comment = line.char_indices().find(|&(at, c)| c == '#' && (at == 0 || line[..at].ends_with([' ', '\t'])));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim()
}

/// The value up to the closing quote and the bytes up to and including it.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, at + 1)),
            '\r' if chars.peek().is_some_and(|&(_, next)| next == '\n') => {}
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> String {
        let found = parse(text);
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        found[0].value.clone()
    }

    #[test]
    fn the_documents_samples_are_read_as_they_are_meant() {
        let crm = "# Backup Schedules (Cron Format)\n\
                   BACKUP_DAILY_SCHEDULE=\"0 2 * * *\"      # 2 AM daily\n\
                   BACKUP_RETENTION_DAILY=30\n\
                   SMTP_HOST=smtp.gmail.com\n\nTZ=UTC\n";
        let pairs: Vec<_> = parse(crm).into_iter().map(|a| (a.name, a.value, a.line)).collect();
        assert_eq!(
            pairs,
            [
                ("BACKUP_DAILY_SCHEDULE".to_owned(), "0 2 * * *".to_owned(), 2),
                ("BACKUP_RETENTION_DAILY".to_owned(), "30".to_owned(), 3),
                ("SMTP_HOST".to_owned(), "smtp.gmail.com".to_owned(), 4),
                ("TZ".to_owned(), "UTC".to_owned(), 6),
            ]
        );
    }

    #[test]
    fn a_hash_begins_a_comment_only_after_white_space() {
        assert_eq!(one("A=b#c"), "b#c");
        assert_eq!(one("A=b #c"), "b");
        assert_eq!(one("A= # nothing"), "");
        assert_eq!(one("A='b # c' # d"), "b # c");
        assert_eq!(one("A=#b"), "");
    }

    #[test]
    fn quotes_escapes_and_line_ends() {
        assert_eq!(one("export A = \"a\\nb\\\"c\\\\\\x\"\r\n"), "a\nb\"c\\\\x");
        assert_eq!(one("A='a\\nb'"), "a\\nb");
        assert_eq!(one("A=`it's \"so\"`"), "it's \"so\"");
        assert_eq!(one("A=\"line 1\r\nline 2\"\r\n"), "line 1\nline 2");
        assert_eq!(one("\u{feff}A=b\r\n"), "b");
        assert_eq!(one("A=b=c"), "b=c");
        assert_eq!(one("A="), "");
        assert_eq!(one("A=it's"), "it's");
    }

    #[test]
    fn what_comes_after_several_lines_keeps_its_line_number() {
        let found = parse("A=\"1\n2\n3\"\nB=x\n");
        assert_eq!((found[1].name.as_str(), found[1].line), ("B", 4));
    }

    #[test]
    fn a_quote_that_never_ends_is_told_and_does_not_swallow_the_rest() {
        let found = parse("A=\"b\nB=c\n");
        assert!(found[0].unclosed);
        assert_eq!((found[1].name.as_str(), found[1].value.as_str()), ("B", "c"));
    }

    #[test]
    fn what_is_not_an_assignment_is_skipped() {
        assert!(parse("hello\n# A=b\n=x\nA B=c\n   \n").is_empty());
    }

    proptest! {
        #[test]
        fn any_value_survives_double_quotes(value in "[^\r]*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let found = parse(&format!("A=\"{escaped}\" # comment\nB=1\n"));
            prop_assert_eq!(&found[0].value, &value);
            prop_assert_eq!(&found[1].value, "1");
        }

        #[test]
        fn any_value_without_quotes_survives_single_quotes(value in "[^'\r]*") {
            let found = parse(&format!("A='{value}'\nB=1"));
            prop_assert_eq!(&found[0].value, &value);
            prop_assert_eq!(found.len(), 2);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,200}") {
            parse(&text);
        }

        #[test]
        fn hostile_texts_do_not_make_it_panic(text in "[A\"'`=#\\\\ \n\r\u{e9}]{0,60}") {
            parse(&text);
        }
    }
}

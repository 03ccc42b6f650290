//! `pg_dump`'s SQL text, statement by statement, and a hash of it that survives a restore.
//!
//! A dump restored and dumped again is not the same text: PostgreSQL writes expressions back from their parse tree, and
//! `CHECK (x IN ('a', 'b'))` on a varchar column changes its casts and parentheses on the way. The hash therefore leaves out
//! white space, comments, parentheses, brackets and casts, and sorts the statements; literals and function bodies count to
//! the byte. It does not see a change that consists of casts or parentheses only.

use sha2::{Digest, Sha256};

/// One token of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// White space or a comment.
    Blank,
    /// An identifier or keyword, quoted or not, or a number.
    Word(&'a str),
    /// A string of any kind, with its quotes.
    Text(&'a str),
    /// Anything else: one character, or `::`.
    Symbol(&'a str),
}

/// Cuts tokens off the front of SQL text.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (Token<'a>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.rest.chars().next()?;
        let (length, make): (usize, fn(&'a str) -> Token<'a>) = match first {
            _ if first.is_whitespace() => (self.while_char(char::is_whitespace), |_| Token::Blank),
            '-' if self.rest.starts_with("--") => (self.rest.find('\n').unwrap_or(self.rest.len()), |_| Token::Blank),
            '/' if self.rest.starts_with("/*") => (self.block_comment(), |_| Token::Blank),
            '\'' => (self.quoted(0, '\'', false), Token::Text),
            'e' | 'E' if self.rest[1..].starts_with('\'') => (self.quoted(1, '\'', true), Token::Text),
            '"' => (self.quoted(0, '"', false), Token::Word),
            '$' => match self.dollar_quoted() {
                Some(length) => (length, Token::Text),
                None => (1, Token::Symbol),
            },
            _ if is_word(first) => (self.while_char(|c| is_word(c) || c == '$'), Token::Word),
            ':' if self.rest.starts_with("::") => (2, Token::Symbol),
            _ => (first.len_utf8(), Token::Symbol),
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some((make(text), text))
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || !character.is_ascii()
}

impl Tokens<'_> {
    fn while_char(&self, belongs: impl Fn(char) -> bool) -> usize {
        self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len())
    }

    fn block_comment(&self) -> usize {
        let (bytes, mut at, mut depth) = (self.rest.as_bytes(), 0, 0_u32);
        while at < bytes.len() {
            match &bytes[at..bytes.len().min(at + 2)] {
                b"/*" => (depth, at) = (depth + 1, at + 2),
                b"*/" if depth == 1 => return at + 2,
                b"*/" => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
        }
        bytes.len()
    }

    /// Length of a quoted piece; a doubled quote belongs to it.
    fn quoted(&self, prefix: usize, quote: char, backslashes: bool) -> usize {
        let (bytes, quote) = (self.rest.as_bytes(), quote as u8);
        let mut at = prefix + 1;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if backslashes => at += 2,
                byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
                byte if byte == quote => return at + 1,
                _ => at += 1,
            }
        }
        bytes.len()
    }

    fn dollar_quoted(&self) -> Option<usize> {
        let end = 1 + self.rest[1..].find('$')?;
        let name = &self.rest[1..end];
        if !name.chars().all(is_word) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let tag = &self.rest[..=end];
        Some(self.rest[tag.len()..].find(tag).map_or(self.rest.len(), |at| at + 2 * tag.len()))
    }
}

/// Splits SQL text into statements, without their semicolons and without what stands between them.
///
/// Knows what `psql` knows: a semicolon does not end a statement within parentheses (rules) or within the `BEGIN ATOMIC …
/// END` of a function.
pub fn split(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut start, mut at) = (None, 0);
    let mut nesting = Nesting::default();
    for (token, raw) in (Tokens { rest: text }) {
        if token == Token::Symbol(";") && nesting.is_outermost() {
            if let Some(start) = start.take() {
                statements.push(text[start..at].trim_end());
            }
            nesting = Nesting::default();
        } else if token != Token::Blank {
            start.get_or_insert(at);
            nesting.see(token);
        }
        at += raw.len();
    }
    if let Some(start) = start {
        statements.push(text[start..].trim_end());
    }
    statements
}

/// Whether a semicolon would end the statement here.
#[derive(Default)]
struct Nesting<'a> {
    words: Vec<&'a str>,
    parentheses: u32,
    begins: u32,
}

impl<'a> Nesting<'a> {
    const fn is_outermost(&self) -> bool {
        self.parentheses == 0 && self.begins == 0
    }

    fn see(&mut self, token: Token<'a>) {
        match token {
            Token::Symbol("(") => self.parentheses += 1,
            Token::Symbol(")") => self.parentheses = self.parentheses.saturating_sub(1),
            Token::Word(word) => {
                if self.words.len() < 4 {
                    self.words.push(word);
                }
                if self.parentheses == 0 && self.defines_routine() {
                    self.see_in_routine(word);
                }
            }
            _ => {}
        }
    }

    fn see_in_routine(&mut self, word: &str) {
        // A CASE outside of every BEGIN is an expression of the routine's head.
        let opens = word.eq_ignore_ascii_case("begin") || (word.eq_ignore_ascii_case("case") && self.begins > 0);
        if opens {
            self.begins += 1;
        } else if word.eq_ignore_ascii_case("end") {
            self.begins = self.begins.saturating_sub(1);
        }
    }

    fn defines_routine(&self) -> bool {
        let is = |at: usize, word: &str| self.words.get(at).is_some_and(|w| w.eq_ignore_ascii_case(word));
        let at = if is(1, "or") { 3 } else { 1 };
        is(0, "create") && (is(at, "function") || is(at, "procedure"))
    }
}

/// What follows a keyword, where it stands neither within quotes nor within parentheses.
pub fn after_word<'a>(statement: &'a str, word: &str) -> Option<&'a str> {
    let (mut at, mut parentheses) = (0, 0_u32);
    for (token, raw) in (Tokens { rest: statement }) {
        at += raw.len();
        match token {
            Token::Symbol("(") => parentheses += 1,
            Token::Symbol(")") => parentheses = parentheses.saturating_sub(1),
            Token::Word(found) if parentheses == 0 && found == word => return Some(&statement[at..]),
            _ => {}
        }
    }
    None
}

/// SHA-256 over the statements in their canonical form, sorted; 64 hexadecimal digits.
pub fn hash(texts: &[&str]) -> String {
    let mut statements: Vec<String> =
        texts.iter().flat_map(|text| split(text)).filter(|statement| !is_session(statement)).map(canonical).collect();
    statements.sort_unstable();
    let mut hasher = Sha256::new();
    for statement in statements {
        hasher.update((statement.len() as u64).to_le_bytes());
        hasher.update(statement.as_bytes());
    }
    hex::encode(hasher.finalize())
}

/// `SET …` and `SELECT set_config(…)` prepare the session and define nothing.
pub fn is_session(statement: &str) -> bool {
    statement.starts_with("SET ") || statement.starts_with("SELECT pg_catalog.set_config(")
}

/// The statement without white space, comments, parentheses, brackets and casts.
fn canonical(statement: &str) -> String {
    let mut text = String::with_capacity(statement.len());
    let mut tokens = Tokens { rest: statement }.filter(|(token, _)| *token != Token::Blank).peekable();
    while let Some((token, raw)) = tokens.next() {
        match token {
            Token::Symbol("::") => skip_type(&mut tokens),
            Token::Symbol("(" | ")" | "[" | "]") | Token::Blank => {}
            _ => {
                text.push_str(raw);
                text.push(' ');
            }
        }
    }
    text
}

/// Passes over a type's name: `character varying(10)[]`, `timestamp(3) with time zone`, `"s"."t"`.
fn skip_type<'a>(tokens: &mut std::iter::Peekable<impl Iterator<Item = (Token<'a>, &'a str)>>) {
    const MORE: [&str; 13] = [
        "varying",
        "precision",
        "with",
        "without",
        "time",
        "zone",
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "to",
    ];
    tokens.next_if(|(token, _)| matches!(token, Token::Word(_)));
    loop {
        if tokens.next_if(|(token, _)| *token == Token::Symbol(".")).is_some() {
            tokens.next_if(|(token, _)| matches!(token, Token::Word(_)));
        } else if tokens.next_if(|(token, _)| *token == Token::Symbol("(")).is_some() {
            while tokens.next_if(|(token, _)| *token != Token::Symbol(")")).is_some() {}
            tokens.next();
        } else if tokens.next_if(|(token, _)| matches!(token, Token::Word(word) if MORE.contains(word))).is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn semicolons_inside_do_not_end_a_statement() {
        let text = r#"
-- Name: a; Type: TABLE
CREATE TABLE "a;b" (x text DEFAULT 'it''s; \', y text DEFAULT E'\';'); /* ; /* ; */ ; */
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $_$ BEGIN; $$;$$ END; $_$;
CREATE OR REPLACE FUNCTION public.g(a int) RETURNS int LANGUAGE sql
  BEGIN ATOMIC
   SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END;
   SELECT 1;
  END;
CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM x; DELETE FROM y);
CREATE PROCEDURE begin_it() LANGUAGE sql AS 'x';
SELECT 1"#;
        let statements = split(text);
        let starts: Vec<_> =
            statements.iter().map(|s| s.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            starts,
            ["CREATE TABLE", "CREATE FUNCTION", "CREATE OR", "CREATE RULE", "CREATE PROCEDURE", "SELECT 1"],
            "{statements:#?}"
        );
        assert!(statements[2].ends_with("END"));
    }

    #[test]
    fn what_a_restore_rewrites_does_not_change_the_hash() {
        let before = "SET x = 1; ALTER TABLE t ADD CONSTRAINT c CHECK (((x)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])));";
        let after = "-- note\nALTER TABLE t ADD CONSTRAINT c CHECK (((x)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])));";
        assert_eq!(hash(&[before]), hash(&[after]));
        for other in [
            after.replace("'b'", "'B'"),
            after.replace("ANY", "ALL"),
            after.replace("CONSTRAINT c", "CONSTRAINT d"),
            format!("{after} SELECT 1;"),
        ] {
            assert_ne!(hash(&[before]), hash(&[&other]), "{other}");
        }
        let types = "SELECT a::timestamp(3) without time zone, b::\"s\".\"t\"[], c::interval day to second(2) AS d";
        assert_eq!(hash(&[types]), hash(&["SELECT a, b, c AS d"]));
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_panic_and_without_loss(text in "[a-z'\"$;()/*\\-\\\\E \né]{0,60}") {
            for statement in split(&text) {
                prop_assert!(text.contains(statement));
                canonical(statement);
            }
        }
    }
}

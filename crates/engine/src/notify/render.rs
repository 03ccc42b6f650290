//! A notice as text, as HTML and in one line.

use super::notice::Notice;
use std::fmt::Write;

/// Lines of problems that are shown; the rest is counted.
const PROBLEMS_MAX: usize = 30;

fn problems(notice: &Notice) -> Vec<String> {
    let mut lines: Vec<String> = notice.problems.iter().take(PROBLEMS_MAX).cloned().collect();
    if notice.problems.len() > PROBLEMS_MAX {
        lines.push(format!("and {} more", notice.problems.len() - PROBLEMS_MAX));
    }
    lines
}

/// Plain text, for mail and chats.
pub fn text(notice: &Notice) -> String {
    let mut out = String::new();
    let mut paragraph = |text: &str| {
        if !text.is_empty() {
            out.push_str(text);
            out.push_str("\n\n");
        }
    };
    paragraph(&notice.text);
    let width = notice.facts.iter().map(|fact| fact.name.chars().count()).max().unwrap_or(0);
    let facts: Vec<String> = notice
        .facts
        .iter()
        .map(|fact| format!("{}:{} {}", fact.name, " ".repeat(width - fact.name.chars().count()), fact.value))
        .collect();
    paragraph(&facts.join("\n"));
    if !notice.problems.is_empty() {
        let lines: Vec<String> = problems(notice).iter().map(|line| format!("  - {line}")).collect();
        paragraph(&format!("What is wrong:\n{}", lines.join("\n")));
    }
    if let Some(advice) = &notice.advice {
        paragraph(&format!("What to do:\n  {advice}"));
    }
    out.trim_end().to_owned()
}

/// HTML for mail: one column, inline styles, readable in the dark; everything from outside is escaped.
pub fn html(notice: &Notice) -> String {
    let colour = match notice.event.as_str() {
        "success" | "start" | "cleanup" | "test" => "#2b8a3e",
        "partial" | "stale" | "unproven" | "low-disk" | "long-run" | "collapsed" => "#b35c00",
        _ => "#c92a2a",
    };
    let mut body = String::new();
    let _ = write!(body, "<h1 style=\"font-size:20px;margin:0 0 12px;color:{colour}\">{}</h1>", escape(&notice.title));
    if !notice.text.is_empty() {
        let _ = write!(body, "<p style=\"margin:0 0 16px\">{}</p>", escape(&notice.text));
    }
    if !notice.facts.is_empty() {
        body.push_str("<table style=\"border-collapse:collapse;margin:0 0 16px\">");
        for fact in &notice.facts {
            let _ = write!(
                body,
                "<tr><th style=\"text-align:left;font-weight:600;padding:3px 16px 3px 0;vertical-align:top\">{}</th>\
                 <td style=\"padding:3px 0\">{}</td></tr>",
                escape(&fact.name),
                escape(&fact.value)
            );
        }
        body.push_str("</table>");
    }
    if !notice.problems.is_empty() {
        body.push_str("<p style=\"margin:0 0 4px;font-weight:600\">What is wrong</p><ul style=\"margin:0 0 16px\">");
        for line in problems(notice) {
            let _ = write!(body, "<li>{}</li>", escape(&line));
        }
        body.push_str("</ul>");
    }
    if let Some(advice) = &notice.advice {
        let _ = write!(
            body,
            "<p style=\"margin:0 0 4px;font-weight:600\">What to do</p><p style=\"margin:0 0 16px\">{}</p>",
            escape(advice)
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" \
         content=\"light dark\"><title>{}</title></head><body style=\"font:15px/1.5 system-ui,sans-serif;max-width:640px;\
         margin:24px auto;padding:0 16px\">{body}<p style=\"font-size:12px;opacity:.7;margin:24px 0 0\">Strongroom, {}</p>\
         </body></html>",
        escape(&notice.title),
        notice.at
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A title for headers: one line, short.
pub fn subject(notice: &Notice) -> String {
    let line: String = notice.title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(150).collect();
    format!("[Strongroom] {line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Event;
    use jiff::Timestamp;

    #[test]
    fn names_from_outside_cannot_become_markup_or_headers() {
        let mut notice =
            Notice::new(Event::Failure, Timestamp::UNIX_EPOCH, "a\r\nBcc: x@y", "<script>alert(1)</script>")
                .fact("Name", "<img src=x>")
                .advice("\"quotes\" & more");
        notice.problems = (0..40).map(|n| format!("file <{n}>")).collect();
        let html = html(&notice);
        assert!(!html.contains("<script>") && !html.contains("<img") && !html.contains("<0>"));
        assert!(html.contains("and 10 more"));
        assert!(!subject(&notice).contains(['\r', '\n']));
        let text = text(&notice);
        assert!(text.contains("What to do:\n  \"quotes\" & more"));
        assert!(text.contains("Name: <img src=x>"));
    }
}

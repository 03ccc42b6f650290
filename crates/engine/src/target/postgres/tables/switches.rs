//! Triggers and rules of a table, switched off while its rows are exchanged, and on again as they were.

use super::run;
use crate::Result;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Table;
use crate::source::postgres::sql;

/// The statements that switch everything on again.
pub struct Switches(Vec<String>);

/// Switches off the user's triggers and rules.
pub fn off(client: &mut Client, table: &Table) -> Result<Switches> {
    let name = table.qualified();
    let rows = client
        .query(
            "SELECT 'TRIGGER', tgname::text, tgenabled::text FROM pg_catalog.pg_trigger
              WHERE tgrelid = $1::text::pg_catalog.regclass AND NOT tgisinternal AND tgenabled <> 'D'
             UNION ALL
             SELECT 'RULE', rulename::text, ev_enabled::text FROM pg_catalog.pg_rewrite
              WHERE ev_class = $1::text::pg_catalog.regclass AND rulename <> '_RETURN' AND ev_enabled <> 'D'",
            &[&name],
        )
        .map_err(|error| database(format!("looking for triggers of {name}"), error))?;
    let mut on = Vec::new();
    for row in rows {
        let (kind, switch, state): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let how = match state {
            "R" => "REPLICA ",
            "A" => "ALWAYS ",
            _ => "",
        };
        let switch = sql::identifier(switch);
        run(client, &format!("ALTER TABLE {name} DISABLE {kind} {switch}"))?;
        on.push(format!("ALTER TABLE {name} ENABLE {how}{kind} {switch}"));
    }
    Ok(Switches(on))
}

impl Switches {
    /// As it was.
    pub fn on(self, client: &mut Client) -> Result<()> {
        self.0.iter().try_for_each(|statement| run(client, statement))
    }
}

//! The command line as it is typed. What the words mean is each command's business.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use vault::repository::Subset;

/// Protects a web application: backups that are proven to restore.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, about, max_term_width = 110, arg_required_else_help = true)]
pub struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The application's folder [default: the current one]
    #[arg(long, short = 'C', global = true, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// The configuration file [default: strongroom.toml in the application's folder, if there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one value of the configuration, over everything else: --set plans.default.level=9
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress: only the result, and what went wrong
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say more in the log; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole product in a temporary folder: back up, damage, restore, compare, undo
    Demo(Demo),
    /// Prepare an application's folder: strongroom.toml, a key in .env, the recovery kit
    Init(Init),
    /// Run the service: scheduler, REST API and dashboard
    Serve(Serve),
    /// Take a backup now
    Backup(Backup),
    /// List the backups
    List(List),
    /// Show one backup with its manifest
    Show(One),
    /// List what a backup holds
    Files(Files),
    /// Put a backup back, or somewhere else with --to
    Restore(Restore),
    /// Take a restore back; ID is the restore's, or `latest`
    Undo(One),
    /// List the restores and how long each can be undone
    Restores,
    /// Check backups: stored, re-read, opened
    Verify(Verify),
    /// Mend the repository: make its index anew, drop what is damaged, name what is lost
    Repair,
    /// Restore a backup into a scratch place and compare it with its manifest
    Drill(Drill),
    /// Keep a backup whatever the retention says
    Pin(One),
    /// Let the retention decide again
    Unpin(One),
    /// Accept a backup that is much smaller than its predecessor
    Acknowledge(One),
    /// Delete a backup
    Delete(Delete),
    /// Remove what the retention no longer keeps
    Cleanup(Cleanup),
    /// Encryption keys
    #[command(subcommand)]
    Key(Key),
    /// The configuration and where each value comes from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Find what will go wrong before it does
    Doctor,
    /// Accounts of the service
    #[command(subcommand)]
    User(User),
    /// API tokens of the service
    #[command(subcommand)]
    Token(Token),
    /// The audit log
    Audit(Audit),
    /// The catalog of backups
    #[command(subcommand)]
    Catalog(Catalog),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to build the sample application [default: a new temporary folder]
    #[arg(long, value_name = "FOLDER")]
    pub at: Option<PathBuf>,
    /// Do not end by serving the dashboard
    #[arg(long)]
    pub no_serve: bool,
}

/// `init`
#[derive(Debug, Args)]
pub struct Init {
    /// Write the recovery kit to this file instead of printing it
    #[arg(long, value_name = "FILE")]
    pub recovery_kit: Option<PathBuf>,
}

/// `serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

/// How an archive is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatChoice {
    /// One JSON document with the database's tables
    Json,
    /// A tar archive of all components
    Tar,
    /// A snapshot in the deduplicating repository
    Repository,
}

/// Why a backup is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TierChoice {
    /// As the daily schedule does
    Daily,
    /// As the weekly schedule does
    Weekly,
    /// As the monthly schedule does
    Monthly,
    /// Kept until deleted
    Manual,
    /// Kept until the restore's undo expires
    PreRestore,
}

/// `backup`
#[derive(Debug, Args)]
pub struct Backup {
    /// The plan
    #[arg(default_value = "default")]
    pub plan: String,
    /// Only this component; may be given several times
    #[arg(long = "component", value_name = "NAME")]
    pub components: Vec<String>,
    /// Another format than the plan's
    #[arg(long, value_enum)]
    pub format: Option<FormatChoice>,
    /// Why, in your words
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The tier it counts for
    #[arg(long, value_enum, default_value = "manual")]
    pub tier: TierChoice,
    /// Read every file again, also those that look unchanged (repositories)
    #[arg(long)]
    pub force_reread: bool,
}

/// `list`
#[derive(Debug, Args)]
pub struct List {
    /// Only this tier
    #[arg(long, value_enum)]
    pub tier: Option<TierChoice>,
    /// Only this plan
    #[arg(long)]
    pub plan: Option<String>,
    /// At most so many, newest first
    #[arg(long, default_value_t = 1000)]
    pub limit: u32,
}

/// A command about one thing.
#[derive(Debug, Args)]
pub struct One {
    /// Its id, or `latest`
    pub id: String,
}

/// `files`
#[derive(Debug, Args)]
pub struct Files {
    /// A backup's id, `latest`, or where an archive lies
    pub id: String,
    /// Only what lies below this path
    pub path: Option<String>,
}

/// `restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// A backup's id, `latest`, or where an archive lies
    pub id: String,
    /// Only this component; may be given several times
    #[arg(long = "component", value_name = "NAME")]
    pub components: Vec<String>,
    /// Only this table of the database (`name` or `schema.name`); may be given several times
    #[arg(long = "table", value_name = "NAME", conflicts_with_all = ["path", "to"])]
    pub tables: Vec<String>,
    /// Only this file or folder of the backup, component first: uploads/2026; needs --to
    #[arg(long, value_name = "PATH", requires = "to")]
    pub path: Vec<String>,
    /// Put it here (a new or empty folder, or a database's URL) and leave the application alone
    #[arg(long, value_name = "FOLDER|URL")]
    pub to: Option<String>,
    /// Replacing live data needs this word: CONFIRM_RESTORE
    #[arg(long, value_name = "WORD")]
    pub confirm: Option<String>,
    /// Show what would happen, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// End other clients' connections to a database that is replaced
    #[arg(long)]
    pub disconnect_clients: bool,
}

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum DepthChoice {
    /// Is it there, with the right size?
    Stored,
    /// Are its bytes what was written?
    Read,
    /// Can it be decrypted, unpacked and parsed to its end?
    Open,
}

/// `verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// A backup's id, `latest`, or where an archive lies
    #[arg(required_unless_present_any = ["all", "repository", "read_data_subset"])]
    pub id: Option<String>,
    /// Every backup
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
    /// The repository as a whole, for all its backups at once; `--depth stored` reads no content, only index and folders
    #[arg(long, conflicts_with_all = ["id", "all"])]
    pub repository: bool,
    /// Read only this part of the repository's packs: 5% by chance, 1/7 (tomorrow 2/7), or 500M by chance
    #[arg(long, value_name = "PART", conflicts_with_all = ["id", "all", "depth"])]
    pub read_data_subset: Option<Subset>,
    /// How deep to look
    #[arg(long, value_enum, default_value = "open")]
    pub depth: DepthChoice,
}

/// `drill`
#[derive(Debug, Args)]
pub struct Drill {
    /// A backup's id, or where an archive lies
    #[arg(default_value = "latest")]
    pub id: String,
}

/// `delete`
#[derive(Debug, Args)]
pub struct Delete {
    /// A backup's id
    pub id: String,
    /// Also the newest good backup of its tier
    #[arg(long)]
    pub force: bool,
}

/// `cleanup`
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Show what would be removed and why, and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// `key`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Print a new key
    Generate,
    /// Show the fingerprints of the keys in use
    List,
    /// Make a new key the current one and keep the old one for reading
    Rotate,
    /// Print what a person needs to restore without this machine
    RecoveryKit {
        /// Write it to this file (owner-only) instead
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether it is valid
    Check,
    /// Show every value and where it comes from
    Show,
}

/// `user`
#[derive(Debug, Subcommand)]
pub enum User {
    /// Add an account; the password is asked for, or read from standard input
    Add {
        /// Name to sign in with
        name: String,
        /// ADMIN or VIEWER
        #[arg(long, default_value = "VIEWER")]
        role: String,
    },
    /// List the accounts
    List,
    /// Set a new password, asked for or read from standard input
    Password {
        /// Name
        name: String,
    },
    /// Remove an account and end its sessions
    Remove {
        /// Name
        name: String,
    },
}

/// `token`
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token; it is shown once
    Create {
        /// What it is for
        name: String,
        /// metrics, read, backup, restore or admin; may be given several times
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// Days until it expires; never when absent
        #[arg(long, value_name = "DAYS")]
        expires_days: Option<u32>,
    },
    /// List the tokens
    List,
    /// Revoke a token
    Revoke {
        /// Its id or name
        id: String,
    },
}

/// `audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// `verify`: check the chain
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// At most so many, newest first
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
}

/// `audit verify`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no entry was changed, removed or reordered
    Verify,
}

/// `catalog`
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Make the catalog anew from what lies in the backup folder
    Rebuild,
}
